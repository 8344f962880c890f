# Python's `withPackages`, and packages made of a project with a pyproject.toml or a setup.py.
#
# Modules of Debian's are store objects with `lib/python3/dist-packages`, found through `debianName`; packages made here
# have `lib/python3.X/site-packages`. Both reach a program by PYTHONPATH.
{
  lib,
  debianSet,
  pkgs,
  python,
  pythonVersion,
}:
let
  sitePackages = "lib/python${pythonVersion}/site-packages";
  isDebian = package: package ? debianName;
  # What a list of modules needs at run time, itself included.
  closure =
    modules:
    lib.unique (
      lib.concatMap (module: [ module ] ++ closure (module.requiredPythonModules or [ ])) (
        builtins.filter (module: module ? pythonModule || isDebian module) (lib.flatten modules)
      )
    );
  foldersOf =
    modules:
    let
      all = closure modules;
      names = map (module: module.debianName) (builtins.filter isDebian all);
      units = lib.unique (lib.concatMap (name: [ name ] ++ builtins.attrNames (debianSet.reachable name)) names);
    in
    map (package: "${package}/${sitePackages}") (builtins.filter (package: !isDebian package) all)
    ++ map (name: "${debianSet.package name}/lib/python3/dist-packages") (
      builtins.filter (name: lib.hasPrefix "python3-" name) units
    );
  environment =
    modules:
    let
      chosen = closure modules;
      made =
        pkgs.runCommand "python3-${python.version}-env"
          {
            preferLocalBuild = true;
            allowSubstitutes = false;
            packages = chosen;
            pythonPath = lib.concatStringsSep ":" (foldersOf modules);
            passthru = {
              inherit pythonVersion sitePackages python;
              interpreter = "${made}/bin/python3";
              env = pkgs.mkShell { packages = [ made ]; };
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
                    ${pkgs.runtimeShell} "$pythonPath" "$program" >"$out/bin/''${program##*/}"
                  chmod +x "$out/bin/''${program##*/}"
                fi
              done
            done
          '';
    in
    made;
  withPackages = choose: environment (lib.toList (choose pkgs.python3Packages));

  # Attributes that say something to this builder alone.
  ownNames = [
    "pyproject"
    "format"
    "build-system"
    "dependencies"
    "optional-dependencies"
    "pythonImportsCheck"
    "pythonPath"
    "disabled"
  ];
  buildPythonPackage = lib.makeOverridable (
    attrsOrFunction:
    let
      make =
        attrs:
        let
          dependencies = attrs.dependencies or [ ] ++ attrs.propagatedBuildInputs or [ ] ++ attrs.pythonPath or [ ];
          tools = attrs.build-system or [ ] ++ lib.optional (attrs.format or "setuptools" == "setuptools" && !(attrs.pyproject or false)) pkgs.python3Packages.setuptools;
          checkModules = attrs.nativeCheckInputs or [ ] ++ attrs.checkInputs or [ ];
          builder = environment ([ pkgs.python3Packages.pip pkgs.python3Packages.wheel ] ++ tools ++ dependencies ++ checkModules ++ attrs.nativeBuildInputs or [ ]);
          runtime = lib.concatStringsSep ":" (foldersOf dependencies);
        in
        removeAttrs attrs ownNames
        // {
          nativeBuildInputs = [ builder ] ++ attrs.nativeBuildInputs or [ ];
          # Modules are found by PYTHONPATH; only other packages are inputs that users of this one see.
          propagatedBuildInputs = builtins.filter (x: !(x ? pythonModule || isDebian x)) (attrs.propagatedBuildInputs or [ ]);
          doCheck = false;
          doInstallCheck = attrs.doCheck or true;
          nativeInstallCheckInputs = checkModules;
          nativeCheckInputs = [ ];
          checkInputs = [ ];
          strictDeps = attrs.strictDeps or true;
          dontConfigure = attrs.dontConfigure or true;
          env = {
            PIP_NO_INDEX = "1";
            PIP_DISABLE_PIP_VERSION_CHECK = "1";
            PYTHONHASHSEED = "0";
          }
          // attrs.env or { };
          buildPhase = attrs.buildPhase or ''
            runHook preBuild
            python3 -m pip wheel --no-deps --no-build-isolation --wheel-dir dist .
            runHook postBuild
          '';
          installPhase = attrs.installPhase or ''
            runHook preInstall
            python3 -m pip install --no-deps --no-compile --no-warn-script-location --target "$out/${sitePackages}" dist/*.whl
            if [ -d "$out/${sitePackages}/bin" ]; then mv "$out/${sitePackages}/bin" "$out/bin"; fi
            runHook postInstall
          '';
          preFixup = ''
            for program in "$out"/bin/*; do
              if ! isScript "$program"; then continue; fi
              sed -i '1 s|^#!.*python3\?$|#!${python}/bin/python3|' "$program"
              hidden=$out/bin/.''${program##*/}-wrapped
              mv "$program" "$hidden"
              printf '#! %s -e\nexport PYTHONPATH=%s''${PYTHONPATH:+:$PYTHONPATH}\nexec -a "$0" %s "$@"\n' \
                ${pkgs.runtimeShell} "$out/${sitePackages}${lib.optionalString (runtime != "") ":${runtime}"}" "$hidden" >"$program"
              chmod +x "$program"
            done
          ''
          + attrs.preFixup or "";
          installCheckPhase = attrs.installCheckPhase or attrs.checkPhase or ''
            runHook preInstallCheck
            runHook preCheck
            export PYTHONPATH="$out/${sitePackages}''${PYTHONPATH:+:$PYTHONPATH}"
            ${lib.concatMapStrings (module: ''
              echo "checking that ${module} can be imported"
              (cd "$TMPDIR" && python3 -c ${lib.escapeShellArg "import ${module}"})
            '') (attrs.pythonImportsCheck or [ ])}
            for check_ in "''${pythonChecks[@]}"; do "$check_"; done
            runHook postCheck
            runHook postInstallCheck
          '';
          passthru = {
            pythonModule = python;
            requiredPythonModules = builtins.filter (x: x ? pythonModule || isDebian x) dependencies;
            optional-dependencies = attrs.optional-dependencies or { };
          }
          // attrs.passthru or { };
          meta = {
            mainProgram = attrs.pname or (lib.getName attrs.name);
          }
          // attrs.meta or { };
        };
    in
    pkgs.stdenv.mkDerivation (
      if lib.isFunction attrsOrFunction then final: make (attrsOrFunction final) else make attrsOrFunction
    )
  );
in
{
  inherit
    sitePackages
    withPackages
    buildPythonPackage
    ;
  # A program is not for others to import.
  buildPythonApplication = args: buildPythonPackage args;
  toPythonModule = drv: drv // { pythonModule = python; };
  buildEnv = lib.makeOverridable (
    {
      extraLibs ? [ ],
      ignoreCollisions ? false,
    }:
    environment extraLibs
  ) { };
  pytestCheckHook = pkgs.makeSetupHook {
    name = "pytest-check-hook";
    passthru = {
      pythonModule = python;
      requiredPythonModules = [ pkgs.python3Packages.pytest ];
    };
  } ../hooks/pytest.sh;
}
