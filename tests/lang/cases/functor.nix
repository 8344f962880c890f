let s = { n = 2; __functor = self: x: self.n * x; }; in [ (s 3) (builtins.map s [ 1 2 ]) ]
