# The quick ways of the evaluator, each with what it must leave to the slow one.
let
  inherit (builtins) all any concatStringsSep filter foldl' genList head length listToAttrs map seq toString tryEval zipAttrsWith;
  large = listToAttrs (genList (n: { name = "n${toString n}"; value = { b.c = n; }; }) 40);
  follow = s: s.a.b.c;
  or' = s: s.a.b.c or "none";
  sets = [
    { a.b.c = 1; }
    { a = { b = { c = 2; d = 0; }; }; }
    { z = 0; a.b.c = 3; }
    { a = large // { b.c = 4; }; }
    { a = large // { b = { c = 5; }; }; }
    { a.b = { c = 1 + 5; } // { x = 1; }; }
    (let s = { a.b = { inherit (s) c; }; c = 7; }; in s)
  ];
  member = s: s.x;
  pick = name: s: s.${name}.c;
  twice = f: x: f (f x);
  attempt = x: (tryEval x).success;
  counted = filter (x: x > 2);
  merged = zipAttrsWith (name: values: "${name}${toString values}");
  f = x: x;
  held = { one = f; two = f; };
in
{
  paths = map follow (sets ++ sets);
  defaults = map or' (sets ++ [ { } { a = 1; } { a.b = [ ]; } { a.b.c = "found"; } ] ++ sets);
  lazily = attempt (follow { a.b.c = throw "no"; });
  again = map follow [ { a.b.c = 8; } (head sets) { a.b.c = 9; } ];
  members = map member [ { x = 1; } { x = 1 + 1; } { w = 0; x = 3; } (large // { x = 4; }) (large // { x = 5; }) ];
  named = map (pick "b") (map (s: s.a) sets);
  functions = [ (twice (x: x * 2) 3) (twice toString 5) ((x: y: z: x + y + z) 1 2 3) (map (toString) [ 1 2 ]) ];
  in-turn = [ ((x: if x then (y: y + 1) else (y: y - 1)) true 5) ((x: builtins.add x) 2 3) ];
  functors = { __functor = self: x: y: x * y; } 6 7;
  same = [ (held == held) (held.one == held.one) ([ f ] == [ f ]) (f == f) ];
  filtered = [ (counted [ ]) (counted [ 1 2 ]) (counted [ 3 4 ]) (counted [ 1 3 ]) (counted [ 3 1 ]) (counted [ 3 1 4 1 5 ]) ];
  untouched = length (filter (x: true) [ (throw "no") ]);
  zipped = [
    (merged [ ])
    (merged [ { } { } ])
    (merged [ { a = 1; } ])
    (merged [ { a = 1; b = 2; } { a = 3; b = 4; } ])
    (merged [ { a = 1; b = 2; } { a = 3; } ])
    (merged [ { a = 1; } large.n1.b { a = 2; } ])
    (builtins.attrNames (merged [ { a = throw "no"; } { a = 1; } ]))
  ];
  joined = [
    ("a" + "b")
    "${"a"}b"
    "a${toString 1}c"
    "${"x"}${"y"}${"z"}"
    "${"x"}${"y"}${"z"}${"w"}"
    "ä${"ö"}"
    ("a" + "" + "b")
    (concatStringsSep "-" [ "p" "q" ])
  ];

  found = [ (any (x: x > 1) [ 1 2 ]) (any (x: x) [ ]) (all (x: x > 1) [ 1 2 ]) (all (x: x) [ ]) ];
  folded = foldl' (a: b: a + b) 0 [ 1 2 3 ];
}
