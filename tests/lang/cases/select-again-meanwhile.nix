# `.v` is selected from a set of another shape while it is being selected.
let
  f = s: s.v;
  a = {
    v = f b;
    z = 1;
  };
  b = {
    a = 0;
    v = 5;
  };
in
[
  (f a)
  a.v
  a.z
  b
]
