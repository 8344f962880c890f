# The standard environment: a folder with `setup`, and the attributes that package definitions ask of `stdenv`.
{
  lib,
  config,
  system,
  shell,
  tools,
  coreutils,
  cc ? null,
  extraInputs ? [ ],
  name ? "stdenv-linux",
}:
let
  hostPlatform = lib.systems.elaborate system;
  initialPath = tools;
  defaultInputs = lib.optional (cc != null) cc ++ extraInputs;
  make =
    self: overrides:
    let
      drv = derivation (
        {
          inherit system;
          name = if cc == null then "stdenv-noCC" else name;
          builder = shell;
          args = [
            "-e"
            ./build-stdenv.sh
          ];
          setup = ./setup.sh;
          inherit shell coreutils initialPath defaultInputs;
          defaultBuildHooks = [ ./fixup.sh ];
          preferLocalBuild = true;
          allowSubstitutes = false;
        }
        // overrides
      );
    in
    drv
    // {
      inherit
        cc
        shell
        initialPath
        hostPlatform
        ;
      buildPlatform = hostPlatform;
      targetPlatform = hostPlatform;
      inherit (hostPlatform)
        isLinux
        isDarwin
        isi686
        isx86_32
        isx86_64
        isAarch32
        isAarch64
        is32bit
        is64bit
        isBigEndian
        isLittleEndian
        isCygwin
        isFreeBSD
        isOpenBSD
        isSunOS
        isBSD
        ;
      hasCC = cc != null;
      inherit config;
      meta = {
        description = "The default build environment for Unix packages";
        platforms = [ system ];
      };
      passthru = { };
      extraNativeBuildInputs = [ ];
      extraBuildInputs = [ ];
      defaultNativeBuildInputs = defaultInputs;
      defaultBuildInputs = [ ];
      # Packages come patched; nothing else is known of how they were made.
      shellPackage = shell;
      mkDerivation = import ./make-derivation.nix {
        inherit lib config;
        stdenv = self;
      };
      override = arguments: import ./. ({ inherit lib config system shell tools coreutils cc extraInputs name; } // arguments);
      overrideDerivation = f: make (lib.fix (inner: make inner (f drv.drvAttrs))) (f drv.drvAttrs);
    };
in
lib.fix (self: make self { })
