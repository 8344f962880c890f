let
  x = { p = 1; q = 2; };
in
{
  a.b = 1;
  a.c = 2;
  a = { d = 3; };
  d = { inherit (x) p; };
  d.z = 3;
  "quo ted".${"dyn" + "amic"} = 4;
  ${null} = 5;
  e = rec { r = s; s = 1; };
  e.t = 2;
}
