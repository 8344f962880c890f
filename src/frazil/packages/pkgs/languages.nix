# Languages: interpreters and compilers with what their builders ask of them.
{
  lib,
  debianSet,
  unit,
  decorate,
  fromUnit,
  self,
}:
let
  pythonVersion = lib.versions.majorMinor (unit "python3").version;
  support = import ../build-support/python.nix {
    inherit
      lib
      debianSet
      python
      pythonVersion
      ;
    pkgs = self;
  };
  inherit (support) sitePackages;
  python = fromUnit "python3" {
    debian = "python3";
    description = "High-level dynamically-typed programming language";
    license = lib.licenses.psfl;
    mainProgram = "python3";
    passthru = {
      inherit pythonVersion sitePackages;
      interpreter = "${unit "python3"}/bin/python3";
      libPrefix = "python${pythonVersion}";
      executable = "python${pythonVersion}";
      implementation = "cpython";
      isPy3 = true;
      isPy3k = true;
      inherit (support) withPackages buildEnv;
      pythonAtLeast = lib.versionAtLeast pythonVersion;
      pythonOlder = lib.versionOlder pythonVersion;
      pkgs = self.python3Packages;
    };
  };

  # Modules are Debian's `python3-NAME`; what they need comes with them.
  modules = import ./python-modules.nix;
  module =
    name: debian:
    fromUnit name {
      inherit debian;
      description = "Python module ${name}";
      license = lib.licenses.free;
      passthru.debianName = debian;
    };
  python3Packages = lib.makeScope (extra: lib.callPackageWith (self // extra)) (
    _:
    builtins.mapAttrs module modules
    // {
      inherit python pythonVersion;
      inherit (support)
        buildPythonApplication
        buildPythonPackage
        pytestCheckHook
        toPythonModule
        ;
      pythonAtLeast = lib.versionAtLeast pythonVersion;
      pythonOlder = lib.versionOlder pythonVersion;
      # What it checks is said by the attribute of nearly the same name.
      pythonImportsCheckHook = null;
    }
  );
  short = lib.replaceStrings [ "." ] [ "" ] pythonVersion;
in
{
  inherit python3Packages;
  perl = fromUnit "perl" {
    debian = "perl";
    description = "Standard implementation of the Perl 5 programming language";
    license = lib.licenses.artistic1;
    passthru.libPrefix = "lib/perl5/site_perl";
  };
  python3 = python;
  "python${short}" = python;
  "python${short}Packages" = python3Packages;
  go = fromUnit "go" {
    debian = "golang-go";
    description = "Go programming language";
    license = lib.licenses.bsd3;
    passthru = {
      CGO_ENABLED = 1;
      GOOS = "linux";
      GOARCH = self.stdenv.hostPlatform.go.GOARCH;
    };
  };
  buildGoModule = self.callPackage ../build-support/go.nix { };
  "nodejs_${lib.versions.major (unit "nodejs").version}" = self.nodejs;
  nodejs-slim = self.nodejs;
  nodejs = fromUnit "nodejs" {
    debian = "nodejs";
    description = "Event-driven I/O framework for the V8 JavaScript engine";
    license = lib.licenses.mit;
    mainProgram = "node";
  };
}
