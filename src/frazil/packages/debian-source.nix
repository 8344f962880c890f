# Where the package index is when nobody says so. The flake gives this folder a store name that ends in the store name
# of its locked index (see flake.nix); elsewhere the current index is fetched, which only impure evaluation may do.
folder:
let
  found = builtins.match "[0-9a-z]{32}-nixpkgs-([0-9a-z]{32}-.+)" (baseNameOf (toString folder));
in
if found != null then
  "${builtins.storeDir}/${builtins.head found}"
else if builtins ? currentSystem then
  (builtins.fetchTree {
    type = "debian";
    suite = "trixie";
  }).outPath
else
  throw ''
    frazilpkgs does not know its package index here.

    Use the flake input itself, as in `import nixpkgs { … }`, not its `outPath` or `sourceInfo`, or pass the argument `debian`.
  ''
