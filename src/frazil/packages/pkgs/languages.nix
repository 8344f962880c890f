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
      inherit withPackages;
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
  python3Packages = builtins.mapAttrs module modules // {
    inherit python;
    inherit (self) callPackage;
    pythonAtLeast = wanted: lib.versionAtLeast pythonVersion wanted;
    pythonOlder = wanted: lib.versionOlder pythonVersion wanted;
    pythonImportsCheckHook = null;
  };
  # Python with modules: the same programs, told where the modules are.
  withPackages =
    choose:
    let
      chosen = lib.flatten (lib.toList (choose self.python3Packages));
      debianNames = lib.concatMap (package: lib.optional (package ? debianName) package.debianName) chosen;
      units = lib.unique (lib.concatMap (name: [ name ] ++ builtins.attrNames (debianSet.reachable name)) debianNames);
      folders =
        map (name: "${debianSet.package name}/lib/python3/dist-packages") (
          builtins.filter (name: lib.hasPrefix "python3-" name) units
        )
        ++ map (package: "${package}/${sitePackages}") (builtins.filter (package: !(package ? debianName)) chosen);
    in
    self.runCommand "python3-${python.version}-env"
      {
        preferLocalBuild = true;
        allowSubstitutes = false;
        packages = chosen;
        pythonPath = lib.concatStringsSep ":" folders;
        passthru = {
          inherit pythonVersion sitePackages python;
          interpreter = "${python}/bin/python3";
        };
        meta = python.meta;
      }
      ''
        mkdir -p $out/bin
        for package in $packages ${python}; do
          for program in $package/bin/*; do
            [ -e "$out/bin/''${program##*/}" ] && continue
            if [ -x "$program" ]; then
              printf '#! %s -e\nexport PYTHONPATH=%s''${PYTHONPATH:+:$PYTHONPATH}\nexec %s "$@"\n' \
                ${self.runtimeShell} "$pythonPath" "$program" >"$out/bin/''${program##*/}"
              chmod +x "$out/bin/''${program##*/}"
            fi
          done
        done
      '';
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
