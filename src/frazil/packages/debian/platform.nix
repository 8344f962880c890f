# How Debian names a system.
system:
let
  table = {
    x86_64-linux = {
      architecture = "amd64";
      triplet = "x86_64-linux-gnu";
      loader = "ld-linux-x86-64.so.2";
    };
    aarch64-linux = {
      architecture = "arm64";
      triplet = "aarch64-linux-gnu";
      loader = "ld-linux-aarch64.so.1";
    };
  };
in
table.${system}
  or (throw "frazilpkgs has no packages for the system '${system}' (it has ${toString (builtins.attrNames table)})")
