# `import nixpkgs { … }`: the package set for one system, with overlays and configuration.
{
  system ? localSystem.system or (if builtins.isString localSystem then localSystem else builtins.currentSystem),
  localSystem ? { },
  crossSystem ? null,
  overlays ? [ ],
  crossOverlays ? [ ],
  config ? { },
  # The package index: a tree of the input type `debian`, or a path to one.
  debian ? import ./debian-source.nix ./.,
}:
let
  lib = import ./lib;
  configuration = if lib.isFunction config then config { inherit lib; pkgs = final; } else config;
  base = import ./pkgs {
    inherit lib system;
    config = configuration;
    debian = "${debian}";
  };
  allOverlays = lib.optional (configuration ? packageOverrides) (
    _: prev: configuration.packageOverrides prev
  )
  ++ overlays;
  functions = self: _: {
    # The same set with further overlays, or made again with other arguments.
    extend = overlay: self.appendOverlays [ overlay ];
    appendOverlays =
      extra:
      if extra == [ ] then
        self
      else
        import ./. {
          inherit
            system
            config
            debian
            ;
          overlays = overlays ++ extra;
        };
    inherit overlays;
    nixpkgsFun =
      arguments:
      import ./. (
        {
          inherit
            system
            config
            debian
            overlays
            ;
        }
        // arguments
      );
  };
  final = lib.fix (
    lib.foldl' (lib.flip lib.extends) base ([ functions ] ++ allOverlays)
  );
in
if crossSystem != null && (if builtins.isString crossSystem then crossSystem else crossSystem.system or system) != system then
  throw "frazilpkgs cannot cross-compile (localSystem '${system}')"
else
  final
