let
  or = 1;
  map = f: xs: xs;
in
[
  [ (x: x) or ]
  ((x: y: y) (x: x) or)
  ({ a = 2; }.a or (x: x) or)
  (map or [ ])
]
