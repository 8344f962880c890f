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
  sitePackages = "lib/python${pythonVersion}/site-packages";
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
    };
  };
in
{
  perl = fromUnit "perl" {
    debian = "perl";
    description = "Standard implementation of the Perl 5 programming language";
    license = lib.licenses.artistic1;
    passthru.libPrefix = "lib/perl5/site_perl";
  };
  python3 = python;
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
  nodejs = fromUnit "nodejs" {
    debian = "nodejs";
    description = "Event-driven I/O framework for the V8 JavaScript engine";
    license = lib.licenses.mit;
    mainProgram = "node";
  };
}
