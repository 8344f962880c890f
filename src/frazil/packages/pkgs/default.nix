# The package set: a function of itself, so that overlays can change any part.
{
  lib,
  config,
  system,
  debian,
}:
self:
let
  inherit (self) callPackage;
  platform = lib.systems.elaborate system;

  debianSet = import ../debian {
    inherit debian system cacert;
  };
  unit = debianSet.package;

  # The bundle that maintainer scripts make of Debian's certificates.
  cacert = debianSet.makePrefix {
    pname = "nss-cacert";
    version = debianSet.upstreamVersion "ca-certificates";
    names = [ "ca-certificates" ];
    units = [ "ca-certificates" ];
    plan = {
      only = [ "share/ca-certificates" ];
      bundles."etc/ssl/certs/ca-bundle.crt" = "share/ca-certificates/mozilla/*.crt";
      links."etc/ssl/certs/ca-certificates.crt" = "ca-bundle.crt";
      files."nix-support/setup-hook" = ''
        export SSL_CERT_FILE="''${SSL_CERT_FILE:-@out@/etc/ssl/certs/ca-bundle.crt}"
        export NIX_SSL_CERT_FILE="''${NIX_SSL_CERT_FILE:-@out@/etc/ssl/certs/ca-bundle.crt}"
      '';
    };
  };

  # A derivation of `debianSet` with nixpkgs' attributes. `plan` and friends can be changed by `override`; attributes of
  # the derivation by `overrideAttrs`.
  decorate =
    {
      pname,
      version,
      meta,
      passthru ? { },
    }:
    drv:
    let
      position = builtins.unsafeGetAttrPos "description" meta;
      finish =
        attrs:
        let
          made = derivation attrs;
          fullMeta = {
            name = attrs.name;
            available = true;
            broken = false;
            insecure = false;
            unfree = false;
            unsupported = false;
            outputsToInstall = [ "out" ];
            platforms = [
              "x86_64-linux"
              "aarch64-linux"
            ];
          }
          // lib.optionalAttrs (position != null) { position = "${position.file}:${toString position.line}"; }
          // meta;
        in
        made
        // {
          inherit pname version passthru;
          meta = attrs.meta or fullMeta;
          # What a build of it would have seen: nothing but the program itself.
          buildInputs = [ ];
          nativeBuildInputs = [ ];
          stdenv = self.stdenv;
          overrideAttrs =
            change:
            let
              old = attrs // {
                inherit pname version;
                meta = fullMeta;
              };
              first = if lib.isFunction change then change old else change;
              changed = if lib.isFunction first then change (old // first old) old else first;
              extra = removeAttrs changed [ "passthru" ];
            in
            finish (removeAttrs (attrs // extra) [ "meta" ]) // lib.optionalAttrs (changed ? meta) { inherit (changed) meta; } // (changed.passthru or { });
        }
        // passthru;
    in
    finish drv.drvAttrs;

  fromUnit =
    attribute:
    {
      debian,
      description,
      license,
      pname ? attribute,
      mainProgram ? attribute,
      passthru ? { },
      homepage ? null,
    }:
    let
      drv = unit debian;
    in
    lib.makeOverridable (
      { ... }:
      decorate {
        inherit pname passthru;
        inherit (drv) version;
        meta = {
          inherit description license mainProgram;
        }
        // lib.optionalAttrs (homepage != null) { inherit homepage; };
      } drv
    ) { };

  fromLibraries =
    attribute:
    {
      names,
      description,
      license,
      mainProgram ? null,
      plan ? { },
      propagates ? [ ],
    }:
    let
      inputs = map (name: self.${name}) propagates;
      fullPlan = lib.recursiveUpdate plan (
        lib.optionalAttrs (inputs != [ ]) { files."nix-support/propagated-build-inputs" = "${toString inputs}\n"; }
      );
      present = builtins.filter (name: debianSet.index.find name != null) names;
      version = debianSet.upstreamVersion (builtins.head names);
      drv = debianSet.makePrefix {
        pname = attribute;
        inherit version;
        plan = fullPlan;
        names = present;
        units = present;
      };
    in
    lib.makeOverridable (
      { ... }:
      let
        made = decorate {
          pname = attribute;
          inherit version;
          passthru.propagatedBuildInputs = inputs;
          meta = {
            inherit description license;
          }
          // lib.optionalAttrs (mainProgram != null) { inherit mainProgram; };
        } drv;
      in
      # One output holds all; the names of the others lead to it.
      made
      // {
        dev = made;
        lib = made;
        bin = made;
        static = made;
      }
    ) { };

  programs = builtins.mapAttrs fromUnit (import ./programs.nix lib);
  libraries = builtins.mapAttrs fromLibraries (import ./libraries.nix lib);

  shell = "${programs.bash}/bin/bash";
  tools = [
    self.coreutils
    self.findutils
    self.diffutils
    self.gnused
    self.gnugrep
    self.gawk
    self.gnutar
    self.gzip
    self.bzip2
    self.gnumake
    programs.bash
    self.patch
    self.xz
    self.file
  ];
  makeStdenv =
    cc:
    import ../stdenv {
      inherit
        lib
        config
        system
        shell
        cc
        ;
      tools = map (tool: "${tool}") tools;
      coreutils = "${programs.coreutils}";
      extraInputs = lib.optional (cc != null) self.patchelf;
    };
  trivial = import ../build-support/trivial.nix {
    inherit lib config;
    inherit (self) stdenv stdenvNoCC runtimeShell;
    bash = programs.bash;
    pkgs = self;
  };
  fetchers = import ../build-support/fetchers.nix {
    inherit lib;
    inherit (self) stdenvNoCC;
    pkgs = self;
  };
  gccUnit = unit "gcc";
  texts = import ../build-support/formats.nix {
    inherit lib;
    pkgs = self;
  };
in
programs
// libraries
// removeAttrs trivial [ "runtimeShellPackage" ]
// removeAttrs fetchers [ "forge" ]
// texts
// (import ./languages.nix {
  inherit
    lib
    debianSet
    unit
    decorate
    fromUnit
    self
    ;
})
// {
  inherit
    lib
    config
    system
    ;
  pkgs = self;
  inherit (platform) isLinux;
  newScope = extra: lib.callPackageWith (self // self.xorg or { } // extra);
  callPackage = self.newScope { };
  callPackages = lib.callPackagesWith self;
  path = ./..;
  hostPlatform = platform;
  buildPlatform = platform;
  targetPlatform = platform;
  overlays = [ ];
  buildPackages = self;
  pkgsBuildBuild = self;
  pkgsBuildHost = self;
  pkgsHostHost = self;
  pkgsHostTarget = self;
  pkgsBuildTarget = self;
  targetPackages = self;
  __splicedPackages = self;
  debianPackages = debianSet;

  stdenv = makeStdenv self.gcc;
  stdenvNoCC = makeStdenv null;
  gccStdenv = self.stdenv;
  overrideCC = stdenv: cc: stdenv.override { inherit cc; };

  runtimeShell = shell;
  runtimeShellPackage = programs.bash;
  bashInteractive = programs.bash;
  bashNonInteractive = programs.bash;
  gitMinimal = self.git;
  gitFull = self.git;
  coreutils-full = self.coreutils;
  curlMinimal = self.curl;
  curlFull = self.curl;
  gnum4 = self.m4;
  boost183 = self.boost;
  catch2 = self.catch2_3;
  libjpeg_turbo = self.libjpeg;
  lua = self.lua5_4;
  vim-full = self.vim;
  sqlite-interactive = self.sqlite;
  squashfs-tools = self.squashfsTools;
  openssl_3 = self.openssl;
  utillinux = self.util-linux;
  glibc = decorate {
    pname = "glibc";
    inherit (unit "libc6") version;
    meta = {
      description = "GNU C Library";
      license = lib.licenses.lgpl2Plus;
    };
  } (unit "libc6");
  cacert = decorate {
    pname = "nss-cacert";
    version = debianSet.upstreamVersion "ca-certificates";
    meta = {
      description = "Bundle of X.509 certificates of public Certificate Authorities (CA)";
      license = lib.licenses.mpl20;
    };
  } cacert;

  gcc-unwrapped = decorate {
    pname = "gcc";
    inherit (gccUnit) version;
    # What compiled programs load: libstdc++, libgcc_s.
    passthru.lib = decorate {
      pname = "gcc-lib";
      inherit (gccUnit) version;
      meta = {
        description = "Run-time libraries of GCC";
        license = lib.licenses.gpl3Plus;
      };
    } (unit "libstdc++6");
    meta = {
      description = "GNU Compiler Collection";
      license = lib.licenses.gpl3Plus;
      mainProgram = "gcc";
    };
  } gccUnit;
  binutils-unwrapped = fromUnit "binutils" {
    debian = "binutils";
    description = "GNU's linker, assembler and tools for object files";
    license = lib.licenses.gpl3Plus;
    mainProgram = "ld";
  };
  binutils = self.binutils-unwrapped;
  bintools = self.binutils;
  gcc = import ../cc-wrapper {
    inherit lib system shell;
    inherit (debianSet) platform;
    coreutils = "${programs.coreutils}";
    gnused = "${programs.gnused}";
    gcc = self.gcc-unwrapped;
    binutils = self.binutils-unwrapped;
    glibc = self.glibc;
  };
  gcc14 = self.gcc;
  pkg-config = decorate {
    pname = "pkg-config";
    version = debianSet.upstreamVersion "pkgconf";
    meta = {
      description = "Tool that allows packages to find out information about other packages";
      license = lib.licenses.isc;
      mainProgram = "pkg-config";
    };
  } (
    debianSet.makePrefix {
      pname = "pkg-config";
      version = debianSet.upstreamVersion "pkgconf";
      names = [
        "pkgconf"
        "pkgconf-bin"
        "pkg-config"
      ];
      units = [
        "pkgconf"
        "pkgconf-bin"
        "pkg-config"
      ];
      plan = {
        only = [
          "bin/pkgconf"
          "share"
        ];
        exclude = [
          "share/pkgconfig"
          "share/pkg-config-crosswrapper"
          "share/pkg-config-dpkghook"
        ];
        links."bin/pkg-config" = "pkgconf";
        # No folder of the host's: only what inputs add to PKG_CONFIG_PATH.
        wrappers."bin/pkg-config".default.PKG_CONFIG_LIBDIR = "@out@/lib/pkgconfig";
        files."nix-support/setup-hook" = builtins.readFile ../hooks/pkg-config.sh;
      };
    }
  );
  pkgconf = self.pkg-config;

  makeWrapper = self.makeSetupHook {
    name = "make-shell-wrapper-hook";
    substitutions.shell = self.runtimeShell;
  } ../hooks/make-wrapper.sh;
  makeShellWrapper = self.makeWrapper;
  makeBinaryWrapper = self.makeWrapper;
  autoreconfHook = self.makeSetupHook {
    name = "autoreconf-hook";
    propagatedBuildInputs = [
      self.autoconf
      self.automake
      self.gettext
      self.libtool
    ];
  } ../hooks/autoreconf.sh;
  installShellFiles = self.makeSetupHook { name = "install-shell-files"; } ../hooks/install-shell-files.sh;

  mkShell = callPackage ../build-support/mk-shell.nix { };
  mkShellNoCC = self.mkShell.override { stdenv = self.stdenvNoCC; };

  dockerTools = callPackage ../build-support/docker.nix { };
  inherit (callPackage ../build-support/nix2container.nix { }) nix2container nix2container-bin skopeo-nix2container;
  portableService = callPackage ../build-support/portable.nix { };
  fakeNss = callPackage ../build-support/fake-nss.nix { };
}
