# The module system: option declarations and definitions from many modules, merged by type and priority.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    attrNames
    concatMap
    elem
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
  # A value together with what is to be done with it.
  property = _type: how: content: how // { inherit _type content; };
  # Definitions of warnings, where there is an option for them.
  complain = warnings: options: optionalAttrs (options ? warnings) { inherit warnings; };
  renamed = from: to: "The option `${showOption from}' is now called `${showOption to}'.";
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
              description = "What every module function may name among its parameters, besides `config`, `options`, `lib` and the special arguments.";
            };
            check = mkOption {
              type = types.bool;
              internal = true;
              default = check;
              description = "If true, defining what no module declares is an error.";
            };
            freeformType = mkOption {
              type = types.nullOr types.optionType;
              internal = true;
              default = null;
              description = "The type by which definitions without a declaration are merged; null: there may be none.";
            };
            specialArgs = mkOption {
              readOnly = true;
              internal = true;
              description = "Arguments given by the caller of the evaluation; modules can use but not change them.";
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
      # Definitions of modules that come later stand first.
      merged = mergeModules' prefix (lib.reverseList collected);
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
            text = "`${showOption path}' does not exist: no module declares such an option. It is defined:${showDefs [ first ]}";
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
      _module = withCheck (configuration._module // { inherit freeformType; });
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
              throw "No module: a value whose `_type` is ${builtins.toJSON module._type}, imported by ${toString file}.${lib.optionalString (module._type == "option") " An option belongs below the module's `options`."}${lib.optionalString (module._type == "configuration") " This is the result of an evaluation: import the modules it was made from, not the result."}"
            else if builtins.isList module then
              unifyModuleSyntax file key { _file = file; imports = map (inner: { _file = file; imports = [ inner ]; }) module; }
            else if isAttrs module || isFunction module || module ? __functor then
              unifyModuleSyntax file key (applyModuleArgsIfFunction key module args)
            else
              throw "No module: a value of type ${builtins.typeOf module}, imported by ${toString file}. A module is a path, a function or a set of attributes.";
        in
        if class != null && loaded._class != null && loaded._class != class then
          throw "`${loaded._file}` is a module for configurations of class ${builtins.toJSON loaded._class}; this one is of class ${builtins.toJSON class}."
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
          d.key or (throw "`disabledModules` in `${file}` lists a set of attributes without a `key`, so which module it stands for is unknown. Give its path, or give the module a `key`.")
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
      # `meta` may stand beside `config`, and means a definition in it.
      definitions = [ (m.config or { }) ] ++ optional (m ? meta) { inherit (m) meta; };
      bad = removeAttrs m reserved;
      # Of both forms of a module, the short one and that with `config` and `options`.
      common = {
        _file = toString m._file or file;
        key = toString m.key or key;
        _class = m._class or null;
        freeformType = m.freeformType or null;
        disabledModules = if m ? disabledModules then m.disabledModules else [ ];
      };
    in
    if m ? config || m ? options then
      if bad != { } then
        throw "Module `${key}' has `config' or `options' and beside them ${lib.concatMapStringsSep ", " (name: "`${name}'") (attrNames bad)}. With those two, a module's definitions all go inside of `config'."
      else
        common
        // {
          imports = m.imports or [ ];
          options = m.options or { };
          config = if m ? meta then mkMerge definitions else head definitions;
        }
    else if !isAttrs m then
      throw "${file} (${key}) yields a value of type ${builtins.typeOf m}, which is no module."
    else
      common
      // {
        imports = concatMap (name: m.${name} or [ ]) [
          "require"
          "imports"
        ];
        options = { };
        config = removeAttrs m ([ "require" ] ++ builtins.filter (name: !(elem name [ "options" "config" "meta" ])) reserved);
      };

  # A module function gets what it names; what is not special comes from `_module.args`, on demand.
  applyModuleArgsIfFunction =
    key: f: args@{ config, ... }:
    if lib.isFunction f then
      let
        others = args.options._module.args.value;
        named = mapAttrs (
          name: _:
          addErrorContext "while getting the argument `${name}' for the module ${key}:" (args.${name} or others.${name})
        ) (lib.functionArgs f);
      in
      f (args // named)
    else
      f;

  fixMergeModules = modules: args: evalModules { inherit modules args; };
  mergeModules = prefix: modules: mergeModules' prefix modules;
  mergeModules' =
    prefix: modules:
    let
      declarations = map (builtins.intersectAttrs { _file = null; options = null; }) modules;
      definitionsOf =
        { _file, config, ... }:
        map (part: {
          file = _file;
          config = part;
        }) (pushDownProperties config);
    in
    mergeTree prefix declarations (concatMap definitionsOf modules);

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
          throw "`${showOption prefix}' holds options, so its definition must be a set of attributes; `${d.file}' gives it a value of type `${builtins.typeOf d.config}'.";
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
          sorted = builtins.partition (d: isOption d.options) decls;
          optionDecls = sorted.right;
        in
        if sorted.wrong == [ ] then
          {
            matched = evalOptionValue loc (mergeOptionDecls loc decls) defs;
            unmatched = [ ];
          }
        else if optionDecls != [ ] then
          let
            option = head optionDecls;
            others = sorted.wrong;
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
            throw "The option `${showOption loc}' in module `${option._file}' cannot have options inside, as its type is `${option.options.type.description or "<no description>"}'. They are declared:\n${lib.concatMapStringsSep "\n" (d: "- at `${showOption (loc ++ [ (head (attrNames d.options)) ])}' by `${d._file}'") others}"
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
          throw "`${decl._file}' declares the option `${showOption loc}', which is already declared by ${showFiles result.declarations}."
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
      # The default is a definition too, the weakest.
      ofDefault = {
        value = mkOptionDefault opt.default;
        file = head opt.declarations;
      };
      withDefault = if opt ? default then [ ofDefault ] ++ defs else defs;
      bare = def: def // { value = if def.value._type or null == "override" then def.value.content else def.value; };
      result =
        if opt.readOnly or false && length withDefault > 1 then
          # The default counts: what has one cannot be set.
          throw "`${showOption loc}' is read-only: one definition is all it may have, but there are ${toString (length withDefault)}:${showDefs (map bare withDefault)}"
        else
          mergeDefinitions loc type withDefault;
      final = (opt.apply or lib.id) result.mergedValue;
      deprecation = lib.warnIf (type.deprecationMessage or null != null) "`${showOption loc}', declared by ${showFiles opt.declarations}, has the deprecated type `types.${type.name}'. ${type.deprecationMessage or ""}";
    in
    deprecation opt
    // {
      inherit loc type;
      value = addErrorContext "in the value of the option `${showOption loc}':" final;
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
        map (
          value:
          # `mkDefinition` brings its own file.
          if value._type or "" == "definition" then
            {
              file = value.file or def.file;
              inherit (value) value;
            }
          else
            {
              inherit (def) file;
              inherit value;
            }
        ) (addErrorContext "in a definition by `${def.file}':" (dischargeProperties def.value))
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
            throw "What `${showOption loc}' is defined as is not of type `${type.description}':${showDefs wrong}"
        else
          throw "`${showOption loc}' is needed but has no value defined: no module sets it, and it has no default.";
      optionalValue = optionalAttrs isDefined { value = mergedValue; };
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
      builtins.concatLists (map dischargeProperties def.contents)
    else if def._type or "" == "if" then
      if builtins.isBool def.condition then
        optionals def.condition (dischargeProperties def.content)
      else
        throw "mkIf: the condition must be true or false, but is of type ${builtins.typeOf def.condition}"
    else
      [ def ];
  filterOverrides = all: let strongest = filterOverrides' all; in strongest.values;
  filterOverrides' =
    defs:
    let
      # The definitions by priority, out of their `mkOverride`.
      ranked = map (
        { value, ... }@def:
        if value._type or "" != "override" then
          {
            rank = defaultOverridePriority;
            bare = def;
          }
        else
          {
            rank = value.priority;
            bare = def // { value = value.content; };
          }
      ) defs;
      highestPrio = lib.foldl' (best: { rank, ... }: lib.min best rank) 9999 ranked;
    in
    {
      values = concatMap ({ rank, bare }: optional (rank == highestPrio) bare) ranked;
      inherit highestPrio;
    };
  sortProperties =
    defs:
    let
      prepared = map (
        def:
        if def.value._type or "" == "order" then
          def // { inherit (def.value) priority; value = def.value.content; }
        else
          def
      ) defs;
      of = def: def.priority or defaultOrderPriority;
    in
    map (def: removeAttrs def [ "priority" ]) (builtins.sort (a: b: of a < of b) prepared);

  # Properties.
  mkIf = condition: property "if" { inherit condition; };
  mkAssert = assertion: message: content: mkIf (if assertion then true else throw "An assertion does not hold: ${message}") content;
  mkMerge = several: {
    contents = several;
    _type = "merge";
  };
  mkOverride = priority: property "override" { inherit priority; };
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  defaultOverridePriority = 100;
  mkImageMediaOverride = mkOverride 60;
  mkForce = mkOverride 50;
  mkVMOverride = mkOverride 10;
  mkFixStrictness = lib.id;
  mkOrder = priority: property "order" { inherit priority; };
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
  mkDerivedConfig =
    source: derive:
    let
      priority = source.highestPrio or defaultOverridePriority;
    in
    mkOverride priority (derive source.value);

  # Modules about options that moved.
  mkRemovedOptionModule =
    path: replacement:
    { options, ... }:
    {
      options = lib.setAttrByPath path (mkOption {
        visible = false;
        apply = _: throw "`${showOption path}' was removed and has no value any more. ${replacement}";
      });
      config = optionalAttrs (options ? assertions) {
        assertions =
          let
            opt = lib.getAttrFromPath path options;
          in
          [
            {
              assertion = !opt.isDefined;
              message = "`${showOption path}', set by ${showFiles opt.files}, was removed: setting it does nothing.\n${replacement}";
            }
          ];
      };
    };
  mkRenamedOptionModule =
    from: to:
    let
      announce = builtins.trace (renamed from to);
    in
    doRename {
      inherit from to;
      visible = false;
      warn = true;
      use = announce;
    };
  mkRenamedOptionModuleWith =
    { from, to, sinceRelease }:
    doRename {
      inherit from to;
      visible = false;
      warn = lib.trivial.oldestSupportedReleaseIsAtLeast sinceRelease;
      use = lib.warnIf (lib.trivial.oldestSupportedReleaseIsAtLeast sinceRelease) (renamed from to);
    };
  mkChangedOptionModule =
    from: to: change:
    mkMergedOptionModule [ from ] to change;
  mkMergedOptionModule =
    from: to: merge:
    { config, options, ... }:
    {
      options = lib.foldl' lib.recursiveUpdate { } (
        map (
          path:
          lib.setAttrByPath path (mkOption {
            visible = false;
            # No value that a user would give.
            default = "_mkMergedOptionModule";
          })
        ) from
      );
      config =
        let
          isSet = path: lib.getAttrFromPath path config != "_mkMergedOptionModule";
          old = builtins.filter isSet from;
        in
        mkMerge [
          (complain (map (
            path: "`${showOption path}', set by ${showFiles (lib.getAttrFromPath path options).files}, is now part of `${showOption to}'."
          ) old) options)
          (lib.setAttrByPath to (mkIf (old != [ ]) (merge config)))
        ];
    };
  mkAliasOptionModule =
    from: to:
    doRename {
      use = lib.id;
      visible = true;
      warn = false;
      inherit from to;
    };
  # From when descriptions were not Markdown yet.
  mkAliasOptionModuleMD = from: to: mkAliasOptionModule from to;
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
      toOf = lib.attrByPath to (abort "`${showOption from}' stands for `${showOption to}', but no module declares that.");
      toType = (lib.attrByPath to { } options).type or (types.submodule { });
    in
    {
      options = lib.setAttrByPath from (
        mkOption {
          inherit visible;
          description = "Another name of {option}`${showOption to}`.";
          type = toType;
          apply = _given: use (toOf config);
        }
      );
      config = mkIf condition (mkMerge [
        (complain (optionals (warn && fromOpt.isDefined) [ "${renamed from to} It is set by ${showFiles fromOpt.files}." ]) options)
        ((if withPriority then mkAliasAndWrapDefsWithPriority else mkAliasAndWrapDefinitions) (lib.setAttrByPath to) fromOpt)
      ]);
    };

  # Changes a value inside its properties.
  mapDefinitionValue =
    f: def:
    let
      inside = mapDefinitionValue f;
      single = field: { ${field} = inside def.${field}; };
      changes = {
        merge.contents = map inside def.contents;
        "if" = single "content";
        override = single "content";
        order = single "content";
        definition = single "value";
      };
      kind = def._type or "";
    in
    if changes ? ${kind} then def // changes.${kind} else f def;
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
    mapAttrs (
      name: defs:
      let
        merged = mergeDefinitions (opt.loc ++ [ name ]) opt.type.nestedTypes.elemType defs;
      in
      {
        inherit (merged) highestPrio;
        value = merged.mergedValue;
      }
    ) defsByAttr;
}
