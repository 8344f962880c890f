# How Debian names a system. A system that it does not have gets the names of another one, so that flakes for many systems
# can be looked at; what would be built for it fails at `unsupported`.
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
{ unsupported = null; }
// table.${system} or (
  table.x86_64-linux
  // {
    unsupported = throw "frazilpkgs has no packages for the system '${system}' (it has ${toString (builtins.attrNames table)})";
  }
)
