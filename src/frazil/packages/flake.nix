{
  description = "Packages with nixpkgs' names, made of Debian's";

  inputs.debian = {
    url = "debian:trixie";
    flake = false;
  };

  outputs =
    { self, debian }:
    let
      lib = import ./lib;
      # Those that have no packages here have the names: flakes for many systems can be looked at.
      forAll = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
        "armv6l-linux"
        "armv7l-linux"
        "i686-linux"
        "powerpc64le-linux"
        "riscv64-linux"
        "x86_64-freebsd"
      ];
      # A copy of this folder whose store name names the index: `import nixpkgs { … }` gets a plain path and has to find
      # the index from it, also in pure evaluation.
      withIndex = builtins.path {
        path = self.outPath;
        name = "nixpkgs-${builtins.unsafeDiscardStringContext (baseNameOf "${debian}")}";
      };
    in
    {
      inherit lib;
      legacyPackages = forAll (system: import ./. { inherit system debian; });
      # For flakes with nix2container among their inputs.
      packages = forAll (system: {
        inherit (self.legacyPackages.${system}) nix2container nix2container-bin skopeo-nix2container;
      });
      # What a string or path made of this flake is; `outPath` stays the source itself.
      __toString = _: "${withIndex}";
    };
}
