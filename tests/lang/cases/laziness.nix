let x = throw "never"; f = { a, b }: a; in [ (f { a = 1; b = x; }) (builtins.length [ x x ]) ]
