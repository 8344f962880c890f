let a = { b = 1 + true; }; in a.b
