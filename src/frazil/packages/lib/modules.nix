# The module system: option declarations and definitions from many modules, merged by type and priority.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    attrNames
    concatMap
    head
    isAttrs
    isFunction
    length
    mapAttrs
    zipAttrsWith
    ;
  inherit (lib)
    isOption
    mkOption
    optional
    optionals
    optionalAttrs
    showFiles
    showOption
    types
    unknownModule
    ;
  inherit (lib.options) showDefs;
  reserved = [
    "_class"
    "_file"
    "key"
    "disabledModules"
    "imports"
    "options"
    "config"
    "meta"
    "freeformType"
  ];
in
rec {
  evalModules =
    evalArgs@{
      modules,
      prefix ? [ ],
      specialArgs ? { },
      args ? { },
      check ? true,
      class ? null,
    }:
    let
      internal =
        { config, ... }:
        {
          _file = "lib/modules.nix";
          key = "lib/modules.nix";
          options._module = {
            args = mkOption {
              type = types.lazyAttrsOf types.raw // { name = "lazyAttrsOf"; };
              internal = prefix != [ ];
              description = "Additional arguments passed to each module in addition to ones like `lib`, `config`, and `pkgs`, `modulesPath`.";
            };
            check = mkOption {
              type = types.bool;
              internal = true;
              default = check;
              description = "Whether to check whether all option definitions have matching declarations.";
            };
            freeformType = mkOption {
              type = types.nullOr types.optionType;
              internal = true;
              default = null;
              description = "If set, merge all definitions that don't have an associated option together using this type.";
            };
            specialArgs = mkOption {
              readOnly = true;
              internal = true;
              description = "Externally provided module arguments that can't be modified from within a configuration.";
            };
          };
          config._module = {
            args = {
              inherit extendModules;
              moduleType = type;
            }
            // args;
            inherit specialArgs;
          };
        };
      collected = collectModules class (toString ./.) (modules ++ [ internal ]) (
        {
          inherit lib options config specialArgs;
          _class = class;
          _prefix = prefix;
        }
        // specialArgs
      );
      merged = mergeModules' prefix collected;
      declared = merged.matched;
      undeclared = merged.unmatched;
      freeform = freeformOf (concatMap (m: optional (m.freeformType != null) { file = m._file; value = m.freeformType; }) collected);
      freeformType = if freeform != null then freeform else declaredValues._module.freeformType;
      options = declared;
      declaredValues = lib.mapAttrsRecursiveCond (v: !isOption v) (_: v: v.value) declared;
      freeformConfig =
        let
          defs = map (def: {
            inherit (def) file;
            value = lib.setAttrByPath def.prefix def.value;
          }) undeclared;
        in
        if defs == [ ] then { } else freeformType.merge prefix defs;
      configuration =
        if freeformType == null then
          declaredValues
        else
          lib.recursiveUpdateUntil (path: old: new: !(isAttrs old && isAttrs new) || lib.isDerivation new || lib.isDerivation old) freeformConfig declaredValues;
      checkUnmatched =
        if declaredValues._module.check && freeformType == null && undeclared != [ ] then
          let
            first = head undeclared;
            path = prefix ++ first.prefix;
            text = "The option `${showOption path}' does not exist. Definition values:${showDefs [ first ]}";
            near = builtins.filter (name: lib.strings.levenshteinAtMost 3 name (lib.last first.prefix)) (
              attrNames (lib.attrByPath (lib.init first.prefix) { } (removeAttrs declared [ "_module" ]))
            );
            hint = lib.optionalString (near != [ ]) "\n\nDid you mean ${lib.concatMapStringsSep ", " (n: "`${showOption (prefix ++ lib.init first.prefix ++ [ n ])}'") near}?";
          in
          if attrNames (removeAttrs declared [ "_module" ]) == [ ] && collected != [ ] && prefix == [ ] && first.prefix == [ "options" ] then
            throw text
          else
            throw (text + hint)
        else
          null;
      withCheck = value: builtins.seq checkUnmatched value;
      config = removeAttrs configuration [ "_module" ];
      extendModules =
        extend@{
          modules ? [ ],
          specialArgs ? { },
          prefix ? [ ],
        }:
        evalModules (
          evalArgs
          // {
            inherit class;
            modules = evalArgs.modules ++ extend.modules or [ ];
            specialArgs = evalArgs.specialArgs or { } // extend.specialArgs or { };
            prefix = extend.prefix or evalArgs.prefix or [ ];
          }
        );
      type = types.submoduleWith {
        inherit modules specialArgs class;
      };
    in
    {
      _type = "configuration";
      options = withCheck options;
      config = withCheck config;
      _module = withCheck (configuration._module);
      inherit extendModules type class;
      graph = map (m: { inherit (m) key; file = m._file; disabled = false; imports = [ ]; }) collected;
    };

  freeformOf =
    defs:
    if defs == [ ] then
      null
    else
      (mergeDefinitions [ "_module" "freeformType" ] types.optionType defs).mergedValue;

  # All modules that the given ones import, in the order of their definitions, each once, without disabled ones.
  collectModules =
    class: modulesPath: initial: args:
    let
      load =
        file: key: module:
        let
          loaded = if builtins.isPath module || builtins.isString module || (isAttrs module && module ? outPath && !(module ? options) && !(module ? config) && !(module ? imports)) then
              unifyModuleSyntax (toString module) (toString module) (applyModuleArgsIfFunction (toString module) (import module) args)
            else if isAttrs module && module._type or "module" != "module" && !(builtins.elem (module._type or "") [ "if" "merge" "override" "order" ]) then
              throw "Could not load a value as a module, because it is of type ${builtins.toJSON module._type}, in file ${toString file}.${lib.optionalString (module._type == "option") " Options must be put under the `options` attribute."}${lib.optionalString (module._type == "configuration") " If you do intend to import this configuration, please only import the modules that make up the configuration. You may have to create a `let` binding, file or attribute to give yourself access to the relevant modules.\nWhile loading a configuration into the module system is a very sensible idea, it can not be done cleanly in practice."}"
            else if builtins.isList module then
              unifyModuleSyntax file key { _file = file; imports = map (inner: { _file = file; imports = [ inner ]; }) module; }
            else if isAttrs module || isFunction module || module ? __functor then
              unifyModuleSyntax file key (applyModuleArgsIfFunction key module args)
            else
              throw "Expected a module, but found a value of type ${builtins.typeOf module}, while trying to load a module into ${toString file}.";
        in
        if class != null && loaded._class != null && loaded._class != class then
          throw "The module `${loaded._file}` (class: ${builtins.toJSON loaded._class}) cannot be imported into a module evaluation that expects class ${builtins.toJSON class}.\n\nhelp: Ideally, there would be a module that is compatible with both."
        else
          loaded;
      tree =
        parentFile: parentKey: list:
        lib.imap1 (
          n: module:
          let
            loaded = load parentFile "${parentKey}:anon-${toString n}" module;
            children = tree loaded._file loaded.key loaded.imports;
          in
          {
            inherit (loaded) key;
            module = loaded;
            modules = children;
            disabled =
              map (d: {
                file = loaded._file;
                keys = disabledKey loaded._file d;
              }) (lib.toList loaded.disabledModules)
              ++ concatMap (child: child.disabled) children;
          }
        ) list;
      disabledKey =
        file: d:
        if builtins.isString d && builtins.substring 0 1 d != "/" then
          toString modulesPath + "/" + d
        else if isAttrs d then
          d.key or (throw "Module `${file}` contains a disabledModules item that is an attribute set, presumably a module, that does not have a `key` attribute. Without that, the module system can't know which module it should disable.")
        else
          toString d;
      roots = tree unknownModule "" initial;
      disabled = map (d: d.keys) (concatMap (node: node.disabled) roots);
      closure = builtins.genericClosure {
        startSet = builtins.filter (node: !(builtins.elem node.key disabled)) roots;
        operator = node: builtins.filter (child: !(builtins.elem child.key disabled)) node.modules;
      };
    in
    map (node: node.module) closure;

  setDefaultModuleLocation = file: module: {
    _file = file;
    imports = [ module ];
  };

  unifyModuleSyntax =
    file: key: m:
    let
      addMeta =
        config: if m ? meta then mkMerge [ config { meta = m.meta; } ] else config;
      bad = removeAttrs m reserved;
    in
    if m ? config || m ? options then
      if bad != { } then
        throw "Module `${key}' has an unsupported attribute `${head (attrNames bad)}'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them (namely: ${toString (attrNames bad)}) into the explicit `config' attribute."
      else
        {
          _file = toString m._file or file;
          _class = m._class or null;
          key = toString m.key or key;
          disabledModules = m.disabledModules or [ ];
          imports = m.imports or [ ];
          options = m.options or { };
          config = addMeta (m.config or { });
          freeformType = m.freeformType or null;
        }
    else if !isAttrs m then
      throw "module ${file} (${key}) does not look like a module."
    else
      {
        _file = toString m._file or file;
        _class = m._class or null;
        key = toString m.key or key;
        disabledModules = m.disabledModules or [ ];
        imports = m.require or [ ] ++ m.imports or [ ];
        options = { };
        config = removeAttrs m [
          "_class"
          "_file"
          "key"
          "disabledModules"
          "require"
          "imports"
          "freeformType"
        ];
        freeformType = m.freeformType or null;
      };

  # A module function gets what it names; what is not special comes from `_module.args`, on demand.
  applyModuleArgsIfFunction =
    key: f: args@{ config, ... }:
    if lib.isFunction f then
      let
        others = args.options._module.args.value;
        named = mapAttrs (
          name: _:
          addErrorContext "while evaluating the module argument `${name}' in \"${key}\":" (args.${name} or others.${name})
        ) (lib.functionArgs f);
      in
      f (args // named)
    else
      f;

  fixMergeModules = modules: args: evalModules { inherit modules args; };
  mergeModules = prefix: modules: mergeModules' prefix modules;
  mergeModules' =
    prefix: modules:
    mergeTree prefix
      (map (m: { inherit (m) _file options; }) modules)
      (concatMap (m: map (config: { file = m._file; inherit config; }) (pushDownProperties m.config)) modules);

  # `declarations`: [{ _file, options }]; `definitions`: [{ file, config }], properties pushed down.
  mergeTree =
    prefix: declarations: definitions:
    let
      badOptions = builtins.filter (d: !isAttrs d.options) declarations;
      byName = zipAttrsWith (_: values: values) (
        map (d: mapAttrs (name: value: {
          inherit (d) _file;
          options = value;
          pos = builtins.unsafeGetAttrPos name d.options;
        }) d.options) declarations
      );
      checked =
        d:
        if isAttrs d.config && !(d.config ? _type && d.config._type == "configuration") then
          d
        else
          throw "You're trying to define a value of type `${builtins.typeOf d.config}'\nrather than an attribute set for the option\n`${showOption prefix}'!\n\nThis usually happens if `${showOption prefix}' has option\ndefinitions inside that are not matched. Please check how to properly define\nthis option by e.g. referring to `man 5 configuration.nix'!";
      definedByName = zipAttrsWith (_: values: values) (
        map (
          d:
          mapAttrs (_: value: {
            inherit (d) file;
            inherit value;
          }) (checked d).config
        ) definitions
      );
      one =
        name: decls:
        let
          loc = prefix ++ [ name ];
          defs = definedByName.${name} or [ ];
          optionDecls = builtins.filter (d: isOption d.options) decls;
        in
        if length optionDecls == length decls then
          {
            matched = evalOptionValue loc (mergeOptionDecls loc decls) defs;
            unmatched = [ ];
          }
        else if optionDecls != [ ] then
          let
            option = head optionDecls;
            others = builtins.filter (d: !isOption d.options) decls;
          in
          # A set of options may extend the submodule that an option of this name holds.
          if builtins.all (d: d.options.type.getSubModules or null != null) optionDecls then
            {
              matched = evalOptionValue loc (mergeOptionDecls loc (
                optionDecls ++ map (d: d // {
                  options = mkOption {
                    type = types.submoduleWith {
                      modules = [ { inherit (d) _file; inherit (d) options; } ];
                    };
                  };
                }) others
              )) defs;
              unmatched = [ ];
            }
          else
            throw "The option `${showOption loc}' in module `${option._file}' would be a parent of the following options, but its type `${option.options.type.description or "<no description>"}' does not support nested options.\n${lib.concatMapStringsSep "\n" (d: "- option(s) with prefix `${showOption (loc ++ [ (head (attrNames d.options)) ])}' in module `${d._file}'") others}"
        else
          mergeTree loc decls (
            concatMap (d: map (config: { inherit (d) file; inherit config; }) (pushDownProperties d.value)) defs
          );
      results = mapAttrs one byName;
      own = concatMap (
        name:
        map (def: {
          inherit (def) file value;
          prefix = [ name ];
        }) definedByName.${name}
      ) (builtins.filter (name: !(byName ? ${name})) (attrNames definedByName));
      nested = concatMap (
        name:
        map (def: def // { prefix = [ name ] ++ def.prefix; }) results.${name}.unmatched
      ) (attrNames results);
    in
    if badOptions != [ ] then
      throw "A module declares `${showOption prefix}' as ${builtins.typeOf (head badOptions).options} in `${(head badOptions)._file}', where a set of options was expected."
    else
      {
        matched = mapAttrs (_: result: result.matched) results;
        unmatched = own ++ nested;
      };

  mergeOptionDecls =
    loc: decls:
    let
      step =
        result: decl:
        let
          opt = decl.options;
          both = name: result ? ${name} && opt ? ${name};
          typeResult =
            if !(opt ? type) then
              result.type or null
            else if !(result ? type) then
              opt.type
            else
              result.type.typeMerge opt.type.functor;
          conflict = both "default" || both "example" || both "description" || both "apply" || (both "type" && typeResult == null);
        in
        if result.declarations != [ ] && conflict then
          throw "The option `${showOption loc}' in `${decl._file}' is already declared in ${showFiles result.declarations}."
        else
          result
          // opt
          // {
            declarations = result.declarations ++ [ decl._file ];
            declarationPositions = result.declarationPositions ++ optional (decl.pos or null != null) decl.pos;
            options = [ ];
          }
          // optionalAttrs (typeResult != null) { type = typeResult; };
    in
    lib.foldl' step {
      inherit loc;
      declarations = [ ];
      declarationPositions = [ ];
      options = [ ];
    } decls;
  fixupOptionType = loc: opt: opt // { type = opt.type or types.unspecified; };

  evalOptionValue =
    loc: opt: defs:
    let
      type = opt.type or types.unspecified;
      withDefault =
        optional (opt ? default) {
          file = head opt.declarations;
          value = mkOptionDefault opt.default;
        }
        ++ defs;
      result =
        if opt.readOnly or false && length withDefault > 1 then
          let
            separate = builtins.filter (d: d.value._type or null != "override" || d.value.priority != 1500) withDefault;
          in
          if length separate > 1 then
            throw "The option `${showOption loc}' is read-only, but it's set multiple times. Definition values:${showDefs separate}"
          else
            mergeDefinitions loc type withDefault
        else
          mergeDefinitions loc type withDefault;
      value = if opt ? apply then opt.apply result.mergedValue else result.mergedValue;
      deprecation = lib.warnIf (type.deprecationMessage or null != null) "The type `types.${type.name}' of option `${showOption loc}' defined in ${showFiles opt.declarations} is deprecated. ${type.deprecationMessage or ""}";
    in
    deprecation opt
    // {
      inherit loc type;
      value = addErrorContext "while evaluating the option `${showOption loc}':" value;
      inherit (result) isDefined;
      definitions = map (def: def.value) result.defs;
      definitionsWithLocations = result.defs;
      highestPrio = result.highestPrio;
      files = map (def: def.file) result.defs;
      __toString = _: showOption loc;
    };

  mergeDefinitions =
    loc: type: defs:
    let
      discharged = concatMap (
        def:
        map (value: {
          inherit (def) file;
          inherit value;
        }) (addErrorContext "while evaluating definitions from `${def.file}':" (dischargeProperties def.value))
      ) defs;
      filtered = filterOverrides' discharged;
      sorted = if builtins.any (def: def.value._type or "" == "order") filtered.values then sortProperties filtered.values else filtered.values;
    in
    rec {
      defs = sorted;
      inherit (filtered) highestPrio;
      isDefined = sorted != [ ];
      defsFinal = sorted;
      wrong = builtins.filter (def: !(type.check def.value)) sorted;
      mergedValue =
        if isDefined then
          if wrong == [ ] then
            type.merge loc sorted
          else
            throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${showDefs wrong}"
        else
          throw "The option `${showOption loc}' was accessed but has no value defined. Try setting the option.";
      optionalValue = if isDefined then { value = mergedValue; } else { };
      highest = highestPrio;
    };

  pushDownProperties =
    config:
    if config._type or "" == "merge" then
      concatMap pushDownProperties config.contents
    else if config._type or "" == "if" then
      map (mapAttrs (_: mkIf config.condition)) (pushDownProperties config.content)
    else if config._type or "" == "override" then
      map (mapAttrs (_: mkOverride config.priority)) (pushDownProperties config.content)
    else
      [ config ];
  dischargeProperties =
    def:
    if def._type or "" == "merge" then
      concatMap dischargeProperties def.contents
    else if def._type or "" == "if" then
      if builtins.isBool def.condition then
        if def.condition then dischargeProperties def.content else [ ]
      else
        throw "‘mkIf’ called with a non-Boolean condition"
    else
      [ def ];
  filterOverrides = defs: (filterOverrides' defs).values;
  filterOverrides' =
    defs:
    let
      priority = def: if def.value._type or "" == "override" then def.value.priority else defaultOverridePriority;
      highestPrio = lib.foldl' (best: def: lib.min best (priority def)) 9999 defs;
      strip = def: if def.value._type or "" == "override" then def // { value = def.value.content; } else def;
    in
    {
      values = concatMap (def: if priority def == highestPrio then [ (strip def) ] else [ ]) defs;
      inherit highestPrio;
    };
  sortProperties =
    defs:
    let
      prepared = map (
        def:
        if def.value._type or "" == "order" then
          def
          // {
            value = def.value.content;
            inherit (def.value) priority;
          }
        else
          def
      ) defs;
      of = def: def.priority or defaultOrderPriority;
    in
    map (def: removeAttrs def [ "priority" ]) (builtins.sort (a: b: of a < of b) prepared);

  # Properties.
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkAssert = assertion: message: content: mkIf (if assertion then true else throw "\nFailed assertion: ${message}") content;
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  defaultOverridePriority = 100;
  mkImageMediaOverride = mkOverride 60;
  mkForce = mkOverride 50;
  mkVMOverride = mkOverride 10;
  mkFixStrictness = lib.id;
  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };
  mkBefore = mkOrder 500;
  defaultOrderPriority = 1000;
  mkAfter = mkOrder 1500;
  mkDefinition = args: args // { _type = "definition"; };

  mkAliasDefinitions = mkAliasAndWrapDefinitions lib.id;
  mkAliasAndWrapDefinitions = wrap: option: mkAliasIfDef option (wrap (mkMerge option.definitions));
  mkAliasAndWrapDefsWithPriority =
    wrap: option:
    let
      priority = option.highestPrio or defaultOverridePriority;
    in
    mkAliasIfDef option (wrap (mkMerge (map (mkOverride priority) option.definitions)));
  mkAliasIfDef = option: mkIf (isOption option && option.isDefined);
  mkDerivedConfig = opt: f: mkOverride (opt.highestPrio or defaultOverridePriority) (f opt.value);

  # Modules about options that moved.
  mkRemovedOptionModule =
    path: replacement:
    { options, ... }:
    {
      options = lib.setAttrByPath path (mkOption {
        visible = false;
        apply = _: throw "The option `${showOption path}' can no longer be used since it's been removed. ${replacement}";
      });
      config = optionalAttrs (options ? assertions) {
        assertions =
          let
            opt = lib.getAttrFromPath path options;
          in
          [
            {
              assertion = !opt.isDefined;
              message = "The option definition `${showOption path}' in ${showFiles opt.files} no longer has any effect; please remove it.\n${replacement}";
            }
          ];
      };
    };
  mkRenamedOptionModule =
    from: to:
    doRename {
      inherit from to;
      visible = false;
      warn = true;
      use = builtins.trace "Obsolete option `${showOption from}' is used. It was renamed to `${showOption to}'.";
    };
  mkRenamedOptionModuleWith =
    { from, to, sinceRelease }:
    doRename {
      inherit from to;
      visible = false;
      warn = lib.trivial.oldestSupportedReleaseIsAtLeast sinceRelease;
      use = lib.warnIf (lib.trivial.oldestSupportedReleaseIsAtLeast sinceRelease) "Obsolete option `${showOption from}' is used. It was renamed to `${showOption to}'.";
    };
  mkChangedOptionModule =
    from: to: change:
    { config, ... }:
    {
      imports = [ ];
      options = lib.setAttrByPath from (mkOption { visible = false; default = lib.mkDefault null; });
      config = lib.setAttrByPath to (mkIf (lib.getAttrFromPath from config != null) (change config));
    };
  mkMergedOptionModule =
    from: to: merge:
    { config, options, ... }:
    {
      options = lib.foldl' lib.recursiveUpdate { } (map (path: lib.setAttrByPath path (mkOption { visible = false; default = "_mkMergedOptionModule"; })) from);
      config = lib.setAttrByPath to (
        mkIf (builtins.any (path: lib.getAttrFromPath path config != "_mkMergedOptionModule") from) (merge config)
      );
    };
  mkAliasOptionModule =
    from: to:
    doRename {
      inherit from to;
      visible = true;
      warn = false;
      use = lib.id;
    };
  mkAliasOptionModuleMD = mkAliasOptionModule;
  doRename =
    {
      from,
      to,
      visible,
      warn,
      use,
      withPriority ? true,
      condition ? true,
    }:
    { config, options, ... }:
    let
      fromOpt = lib.getAttrFromPath from options;
      toOf = lib.attrByPath to (abort "Renaming error: option `${showOption to}' does not exist.");
      toType = (lib.attrByPath to { } options).type or (types.submodule { });
    in
    {
      options = lib.setAttrByPath from (
        mkOption {
          inherit visible;
          description = "Alias of {option}`${showOption to}`.";
          apply = _: use (toOf config);
        }
        // optionalAttrs (toType != null) { type = toType; }
      );
      config = mkIf condition (mkMerge [
        (optionalAttrs (options ? warnings) {
          warnings = optional (warn && fromOpt.isDefined) "The option `${showOption from}' defined in ${showFiles fromOpt.files} has been renamed to `${showOption to}'.";
        })
        (if withPriority then mkAliasAndWrapDefsWithPriority (lib.setAttrByPath to) fromOpt else mkAliasAndWrapDefinitions (lib.setAttrByPath to) fromOpt)
      ]);
    };

  # Changes a value inside its properties.
  mapDefinitionValue =
    f: def:
    let
      type = def._type or "";
    in
    if type == "merge" then
      def // { contents = map (mapDefinitionValue f) def.contents; }
    else if type == "if" || type == "override" || type == "order" then
      def // { content = mapDefinitionValue f def.content; }
    else if type == "definition" then
      def // { value = mapDefinitionValue f def.value; }
    else
      f def;
  importApply = path: arguments: setDefaultModuleLocation path (import path arguments);
  importJSON = file: {
    _file = file;
    config = lib.importJSON file;
  };
  importTOML = file: {
    _file = file;
    config = lib.importTOML file;
  };
  mergeAttrDefinitionsWithPrio =
    opt:
    let
      defsByAttr = zipAttrsWith (_: values: values) (
        concatMap (
          { value, ... }@def:
          map (mapAttrs (_: value: def // { inherit value; })) (pushDownProperties value)
        ) opt.definitionsWithLocations
      );
    in
    mapAttrs (name: defs: removeAttrs (mergeDefinitions (opt.loc ++ [ name ]) opt.type.nestedTypes.elemType defs) [ "defs" ]) defsByAttr;
}
