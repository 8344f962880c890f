rec { a = 1; b = a; c = { inherit a; }.a; __overrides = { a = 2; }; }
