# Of several unexpected arguments the one whose name was read first, not the first by name or place.
let
  zebra = 1;
  f = { a }: a;
in
f { a = 1; monkey = 2; inherit zebra; }
