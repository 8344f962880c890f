# `x.a` is asked of sets of two shapes at once: of one, for a member of the other that is made meanwhile.
let
  through = x: { a = x.a; };
  or-else = x: { a = x.a or "none"; };
  wide = n: { b0 = 0; b1 = 1; b2 = 2; b3 = 3; b4 = 4; b5 = 5; "0" = n; a = builtins.length [ n n ] + n; };
  # The inner set is made while what it is made of is not known yet, and looked into when it is.
  twice = f: set: let inner = f set; in builtins.seq inner (builtins.seq set (let outer = f inner; in [ outer.a inner set ]));
  every = f: map (n: twice f (wide n)) (builtins.genList (n: n) 50);
  sum = f: builtins.foldl' (total: found: total + builtins.elemAt found 0 + (builtins.elemAt found 1).a) 0 (every f);
in
[ (sum through) (sum or-else) (builtins.elemAt (every through) 7) ]
