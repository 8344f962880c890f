let
  # What a `let` or a set defines is made when somebody asks; nobody may be able to tell.
  earlier = x: x;
  again = earlier;
  inherit (attributes) f g;
  inherit (builtins.trace "once" { one = 1; two = 2; }) one two;
  attributes = {
    f = earlier;
    g = earlier;
    h = y: y;
  };
  never = throw "never";
  loop = builtins.tryEval (builtins.length [ never never ]);
  failing = { bad = builtins.throw "bad"; good = 1 + 1; };
  merged = { a = 1 + 1; b = throw "hidden"; c = failing.good + 1; } // { b = 2 + 2; d = merged.a + 1; };
  twice = merged // { a = merged.d + 1; } // failing;
  made = name: {
    inherit name;
    length = builtins.stringLength name;
    inherit (attributes) h;
    unused = throw name;
    ${if name == "x" then "dynamic" else null} = name + name;
  };
  own = with own; { p = 1 + 1; q = p + 1; r = let p = q; in p; };
  recursive = rec { inherit (attributes) f; u = v + 1; v = 1 + 1; inherit (w) t; w = { t = u; }; };
  overridden = rec { a = b + 1; b = 1; inherit (attributes) f; __overrides = { b = 10; }; };
  deep = builtins.foldl' (acc: n: acc // { n = acc.n + n; last = acc.n; kept = acc.kept; }) { n = 0; kept = "k"; last = 0; } (builtins.genList (x: x) 2000);
  rows = map (n: { inherit n; double = n * 2; list = [ ]; half = if n == 0 then throw "half" else 1; }) (builtins.genList (x: x) 1000);
in
{
  cells = [ ([ again ] == [ earlier ]) ([ f ] == [ attributes.f ]) ([ f ] == [ f ]) ];
  members = [ (attributes == attributes) (made "x" == made "x") (made "y").length ((made "x").dynamic) ((made "y") ? dynamic) ];
  tried = [ loop.success (builtins.tryEval failing.bad).success (builtins.tryEval failing.bad).success failing.good ];
  merges = [ merged.b merged.d twice.a twice.good (builtins.attrNames twice) (builtins.tryEval twice.bad).success ];
  counts = one + two + one;
  with-itself = [ own.p own.q own.r ];
  rec-sets = [ recursive.t (recursive.f 3) overridden.a (overridden.f 4) ];
  folded = [ deep.n deep.last deep.kept ];
  summed = builtins.foldl' (a: r: a + r.double + builtins.length r.list) 0 rows;
  halves = builtins.foldl' (a: r: a + r.half) 0 (builtins.tail rows);
  positions = map (n: (builtins.unsafeGetAttrPos n twice).column) [ "a" "b" "c" "good" ];
  through = builtins.mapAttrs (_: v: v) (removeAttrs merged [ "c" ]);
  values = builtins.attrValues (builtins.intersectAttrs { a = null; d = null; } merged);
  listed = builtins.toJSON (builtins.listToAttrs [ { name = "k"; value = (made "z").length; } ]);
}
