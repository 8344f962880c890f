# `stdenv.mkDerivation`: from attributes (or a function of the final ones) to a derivation with `meta`, `passthru`,
# `override` and `overrideAttrs`.
{
  lib,
  config,
  stdenv,
}:
let
  checkMeta = import ./check-meta.nix {
    inherit lib config;
    inherit (stdenv) hostPlatform;
  };
  inputLists = [
    "depsBuildBuild"
    "nativeBuildInputs"
    "depsBuildTarget"
    "depsHostHost"
    "buildInputs"
    "depsTargetTarget"
    "depsBuildBuildPropagated"
    "propagatedNativeBuildInputs"
    "depsBuildTargetPropagated"
    "depsHostHostPropagated"
    "propagatedBuildInputs"
    "depsTargetTargetPropagated"
  ];
  ownNames = [
    "meta"
    "passthru"
    "pos"
    "env"
    "checkInputs"
    "nativeCheckInputs"
    "installCheckInputs"
    "nativeInstallCheckInputs"
    "__darwinAllowLocalNetworking"
    "__impureHostDeps"
    "__propagatedImpureHostDeps"
    "sandboxProfile"
    "propagatedSandboxProfile"
    "disallowedRequisites"
    "hardeningEnable"
    "hardeningDisable"
    "enableParallelBuilding"
    "enableParallelChecking"
    "enableParallelInstalling"
    "strictDeps"
    "doCheck"
    "doInstallCheck"
    "finalAttrs"
    "separateDebugInfo"
    "realBuilder"
    "args"
    "builder"
    "dontAddExtraLibs"
  ];

  # The attributes of the derivation proper.
  derivationArguments =
    attrs:
    let
      name =
        if attrs ? name then
          attrs.name
        else if attrs ? pname then
          "${attrs.pname}-${attrs.version or (throw "mkDerivation: '${attrs.pname}' has no 'version'")}"
        else
          throw "mkDerivation: neither 'name' nor 'pname' and 'version' are given";
      canRun = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
      doCheck = attrs.doCheck or config.doCheckByDefault or false && canRun;
      doInstallCheck = attrs.doInstallCheck or config.doCheckByDefault or false && canRun;
      structured = attrs.__structuredAttrs or config.structuredAttrsByDefault or false;
      checkList =
        listName: index: x:
        if x == null || lib.isDerivation x || builtins.isString x || builtins.isPath x || x ? outPath then
          x
        else if builtins.isList x then
          map (checkList listName index) x
        else
          throw "Dependency is not of a valid type: element ${toString index} of ${listName} for ${name}";
      inputs =
        listName: extra:
        builtins.filter (x: x != null) (
          lib.flatten (lib.imap1 (checkList listName) ((attrs.${listName} or [ ]) ++ extra))
        );
      extra = {
        nativeBuildInputs =
          lib.optionals doCheck (attrs.nativeCheckInputs or [ ])
          ++ lib.optionals doInstallCheck (attrs.nativeInstallCheckInputs or [ ]);
        buildInputs =
          lib.optionals doCheck (attrs.checkInputs or [ ])
          ++ lib.optionals doInstallCheck (attrs.installCheckInputs or [ ]);
      };
      outputOf = list: map (x: if lib.isDerivation x then lib.getDev x else x) list;
      lists = lib.genAttrs inputLists (listName: outputOf (inputs listName (extra.${listName} or [ ])));
      env = attrs.env or { };
      badEnv = lib.filterAttrs (_: v: !(lib.isString v || lib.isBool v || lib.isInt v || lib.isDerivation v || lib.isStringLike v)) env;
      overlap = builtins.attrNames (builtins.intersectAttrs (removeAttrs attrs ownNames) env);
      userHook = (config.stdenv or { }).userHook or null;
      checkedEnv =
        if overlap != [ ] then
          throw "mkDerivation: given both in ‘env’ and beside it: ${toString overlap}"
        else if badEnv != { } then
          throw "mkDerivation: ‘env.${builtins.head (builtins.attrNames badEnv)}’ is of type ${builtins.typeOf (builtins.head (builtins.attrValues badEnv))}; what is in ‘env’ must be a string, a path, an integer, a boolean or a package."
        else
          env;
      flag = value: if value then true else null;
      parallel = attrs.enableParallelBuilding or config.enableParallelBuildingByDefault or false;
      arguments =
        removeAttrs attrs (ownNames ++ inputLists)
        // lists
        // (if structured then { env = checkedEnv; } else checkedEnv)
        // {
          name = lib.strings.sanitizeDerivationName name;
          inherit stdenv;
          inherit (stdenv.buildPlatform) system;
          builder = if attrs ? realBuilder then attrs.realBuilder else stdenv.shell;
          args =
            attrs.args or (
              [ "-e" ]
              ++ (
                if attrs ? builder then
                  [
                    ./source-stdenv.sh
                    attrs.builder
                  ]
                else
                  [ ./default-builder.sh ]
              )
            );
          inherit userHook;
          __ignoreNulls = true;
          __structuredAttrs = structured;
          strictDeps = attrs.strictDeps or config.strictDepsByDefault or false;
          outputs = attrs.outputs or [ "out" ];
          doCheck = doCheck;
          doInstallCheck = doInstallCheck;
        }
        // lib.optionalAttrs parallel (
          { enableParallelBuilding = true; }
          // lib.genAttrs [ "enableParallelChecking" "enableParallelInstalling" ] (name: attrs.${name} or true)
        )
        // lib.optionalAttrs (attrs ? disallowedRequisites) { inherit (attrs) disallowedRequisites; };
    in
    # `builder` chosen by the attributes replaces the generic one only as its script.
    arguments;

  build =
    attrs: overrideAttrs: final:
    let
      position = attrs.pos or (
        if attrs ? meta.description then
          builtins.unsafeGetAttrPos "description" attrs.meta
        else if attrs ? version then
          builtins.unsafeGetAttrPos "version" attrs
        else
          builtins.unsafeGetAttrPos (if attrs ? pname then "pname" else "name") attrs
      );
      arguments = derivationArguments attrs;
      meta = checkMeta.metaOf attrs position;
      valid = checkMeta.check (attrs // { inherit meta; });
      tests = lib.optionalAttrs (attrs ? passthru.tests) { inherit (attrs.passthru) tests; };
    in
    lib.extendDerivation valid (
      {
        inputDerivation = derivation (
          removeAttrs arguments [
            "allowedReferences"
            "allowedRequisites"
            "disallowedReferences"
            "disallowedRequisites"
            "outputHash"
            "outputHashAlgo"
            "outputHashMode"
          ]
          // {
            name = arguments.name + "-inputDerivation";
            outputs = [ "out" ];
            _derivation_original_builder = arguments.builder;
            _derivation_original_args = arguments.args;
            builder = stdenv.shell;
            args = [
              "-c"
              "export > $out"
            ];
          }
        );
        inherit meta overrideAttrs;
        passthru = attrs.passthru or { };
      }
      // lib.optionalAttrs (final != null) { }
      // (attrs.passthru or { })
      // tests
    ) (derivation arguments);

  # finalAttrs form: `rattrs` maps the final attributes to the attributes.
  makeFromFunction =
    rattrs:
    let
      attrs = rattrs (attrs // { inherit finalPackage overrideAttrs; });
      overrideAttrs =
        change:
        makeFromFunction (
          lib.extends (
            final: prev:
            let
              overlay = if lib.isFunction change then change else (_: change);
              first = overlay prev;
            in
            # One argument: the previous attributes; two: the final ones, then the previous.
            if lib.isFunction first then overlay final prev else first
          ) rattrs
        );
      finalPackage = build attrs overrideAttrs null;
    in
    finalPackage;
in
fnOrAttrs: makeFromFunction (if lib.isFunction fnOrAttrs then fnOrAttrs else _: fnOrAttrs)
