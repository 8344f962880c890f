[ ({ a.b = 1; }.a.c or 2) (null.x or 3) ({ a = 4; }.a or (throw "no")) ]
