{ lib }:
let
  inherit (lib.trivial) functionArgs isFunction mirrorFunctionArgs setFunctionArgs;
  inherit (builtins)
    attrNames
    intersectAttrs
    mapAttrs
    removeAttrs
    ;
  # A package's function, given by itself or by its file.
  loaded = package: (if isFunction package then lib.id else import) package;
  crossPairs = {
    buildBuild = "BuildBuild";
    buildHost = "BuildHost";
    buildTarget = "BuildTarget";
    hostHost = "HostHost";
    hostTarget = "HostTarget";
    targetTarget = "TargetTarget";
  };
in
rec {
  overrideDerivation =
    drv: f:
    let
      changed = derivation (drv.drvAttrs // f drv);
    in
    lib.flip (extendDerivation (builtins.seq drv.drvPath true)) changed (
      {
        meta = drv.meta or { };
        passthru = drv.passthru or { };
      }
      // (drv.passthru or { })
      // lib.optionalAttrs (drv ? __spliced) {
        __spliced = { } // mapAttrs (_: spliced: overrideDerivation spliced f) drv.__spliced;
      }
    );

  # A function's result that can be made again from other arguments.
  makeOverridable =
    f:
    let
      arguments = functionArgs f;
      copy = g: if builtins.isAttrs f || arguments != { } then setFunctionArgs g arguments else g;
    in
    copy (
      given:
      let
        result = f given;
        newArguments = new: given // (if isFunction new then new given else new);
        overrideWith = g: copy (args: makeOverridable (copy (x: g (f x))) args);
        overrideArguments = copy (new: makeOverridable f (newArguments new));
        overrideResult = g: makeOverridable (copy (args: g (f args))) given;
      in
      if builtins.isAttrs result then
        result
        // {
          override = overrideArguments;
          overrideDerivation = g: overrideResult (x: overrideDerivation x g);
        }
        // lib.optionalAttrs (result ? overrideAttrs) {
          overrideAttrs = g: overrideResult (x: x.overrideAttrs g);
        }
      else if isFunction result then
        setFunctionArgs result (functionArgs result) // { override = overrideArguments; }
      else
        result
    );

  callPackageWith =
    scope: fn: args:
    let
      f = loaded fn;
      wanted = functionArgs f;
      found = intersectAttrs wanted scope // args;
      missing = builtins.filter (name: !(found ? ${name}) && !wanted.${name}) (attrNames wanted);
      close =
        name:
        lib.take 3 (
          builtins.filter (other: lib.strings.levenshteinAtMost 2 name other) (
            builtins.filter (other: other != name) (attrNames (scope // args))
          )
        );
      suggestion =
        name:
        let
          names = close name;
        in
        if names == [ ] then "" else ", did you mean ${lib.concatMapStringsSep " or " (n: "\"${n}\"") names}?";
      place =
        let
          position = builtins.unsafeGetAttrPos (builtins.head missing) wanted;
        in
        if builtins.isPath fn then
          toString fn
        else if position == null then
          "<unknown location>"
        else
          "${position.file}:${toString position.line}";
    in
    if missing == [ ] then
      makeOverridable f found
    else
      abort "callPackage: nothing is called \"${builtins.head missing}\", which the function needs, at ${place}${suggestion (builtins.head missing)}";

  callPackagesWith =
    scope: fn: args:
    let
      f = loaded fn;
      auto = intersectAttrs (functionArgs f) scope;
      origin = auto // args;
      pkgs = f origin;
      one = name: _: (makeOverridable (mirrorFunctionArgs f (new: (f new).${name})) origin);
    in
    if lib.isDerivation pkgs then
      throw "callPackages: the function yields the one package ${pkgs.name or "without a name"}, not a set of them; callPackage is for that."
    else
      mapAttrs one pkgs;

  # A derivation with further attributes, on each of its outputs, each guarded by a condition.
  extendDerivation =
    condition: passthru: drv:
    let
      outputs = drv.outputs or [ "out" ];
      common =
        drv // builtins.listToAttrs outputList // { all = map (x: x.value) outputList; } // passthru;
      outputList = map (name: {
        inherit name;
        value =
          common
          // {
            inherit (drv.${name}) type outputName;
            outputSpecified = true;
            drvPath =
              assert condition;
              drv.${name}.drvPath;
            outPath =
              assert condition;
              drv.${name}.outPath;
          }
          // lib.optionalAttrs (passthru ? overrideAttrs) {
            overrideAttrs = f: (passthru.overrideAttrs f).${name};
          };
      }) outputs;
    in
    common
    // {
      drvPath =
        assert condition;
        drv.drvPath;
      outPath =
        assert condition;
        drv.outPath;
    };

  hydraJob =
    drv:
    let
      outputs = drv.outputs or [ "out" ];
      common = {
        inherit (drv) name system meta;
        inherit outputs;
        type = "derivation";
      }
      // builtins.listToAttrs outputList;
      outputList = map (name: {
        inherit name;
        value = common // {
          outPath = drv.${name}.outPath;
          drvPath = drv.drvPath;
          outputName = name;
        };
      }) outputs;
    in
    if drv == null then null else builtins.seq drv.drvPath common // { inherit (common.${builtins.head outputs}) outPath drvPath outputName; };

  makeScope =
    newScope: f:
    let
      self = {
        newScope = more: newScope (self // more);
        callPackage = self.newScope { };
      }
      // f self
      // {
        overrideScope = overlay: makeScope newScope (lib.fixedPoints.extends overlay f);
        packages = f;
      };
    in
    self;
  makeScopeWithSplicing = splicePackages: newScope: otherSplices: keep: extra: f: makeScopeWithSplicing' { inherit splicePackages newScope; } { inherit otherSplices keep f; extra = extra; };
  makeScopeWithSplicing' =
    { newScope, ... }:
    {
      extra ? (_: { }),
      f,
      ...
    }:
    makeScope newScope (self: extra { } // f self);

  extendMkDerivation =
    let
      extendsWithExclusion =
        excluded: g: f: final:
        let
          previous = f final;
        in
        removeAttrs previous excluded // g final previous;
    in
    {
      constructDrv,
      excludeDrvArgNames ? [ ],
      excludeFunctionArgNames ? [ ],
      extendDrvArgs,
      inheritFunctionArgs ? true,
      transformDrv ? lib.id,
    }:
    setFunctionArgs
      (
        fpargs:
        transformDrv (
          constructDrv (extendsWithExclusion excludeDrvArgNames extendDrvArgs (lib.toFunction fpargs))
        )
      )
      (
        removeAttrs (
          functionArgs (extendDrvArgs { })
          // lib.optionalAttrs inheritFunctionArgs (functionArgs constructDrv)
        ) excludeFunctionArgNames
      );

  # For each pair of platforms, its name alone and after a prefix, as in `pkgsBuildHost`.
  renameCrossIndexFrom = prefix: prefixed: mapAttrs (_: suffix: prefixed.${prefix + suffix}) crossPairs;
  renameCrossIndexTo =
    prefix: plain:
    lib.mapAttrs' (pair: suffix: {
      name = prefix + suffix;
      value = plain.${pair};
    }) crossPairs;
  mapCrossIndex = f: mapAttrs (_: f);
}
