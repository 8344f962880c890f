# Option types: what a value may be, and how several definitions become one.
{ lib }:
let
  inherit (builtins)
    all
    attrNames
    concatMap
    elem
    head
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isString
    mapAttrs
    ;
  inherit (lib)
    concatMapStringsSep
    concatStringsSep
    isOption
    mergeDefinitions
    mergeEqualOption
    mergeOneOption
    mergeDefaultOption
    mkOption
    mkOptionDefault
    showOption
    ;
  inherit (lib.options) showDefs;
  # Of an attribute set's or list's elements: their definitions, one by one.
  elementValue = loc: type: defs: (mergeDefinitions loc type defs).optionalValue;
  # A type's description inside another's, in parentheses unless its class is one of those.
  phrase = classes: type: if elem (type.descriptionClass or null) classes then type.description else "(${type.description})";
  parens = phrase [ "noun" "composite" ];
  nounOf = phrase [ "noun" ];

  # Types without types in them; the second kind takes several definitions that are equal.
  leaf = name: description: more: types.mkOptionType ({ descriptionClass = "noun"; inherit name description; } // more);
  equalLeaf = name: description: check: leaf name description { merge = mergeEqualOption; inherit check; };
  # What a type made of another hands on: the options below a part of its value, and itself around changed submodules.
  optionsBelow = elemType: part: prefix: elemType.getSubOptions (prefix ++ [ part ]);
  around = make: elemType: m: make (elemType.substSubModules m);
  # Equal payloads only.
  samePayload = a: b: if a != b then null else a;

  types = rec {
    isType = type: x: x._type or null == type;
    setType = typeName: value: value // { _type = typeName; };
    defaultTypeMerge =
      f: f':
      let
        wrapped =
          if f.wrapped or null != null && f'.wrapped or null != null then
            f.wrapped.typeMerge f'.wrapped.functor
          else
            null;
        payload = if f.payload or null != null && f'.payload or null != null then f.binOp f.payload f'.payload else null;
      in
      if f.name != f'.name then
        null
      else if f.wrapped or null == null && f'.wrapped or null == null && f.payload or null == null && f'.payload or null == null then
        f.type
      else if f.payload or null != null || f'.payload or null != null then
        if payload == null then null else f.type payload
      else if wrapped != null then
        f.type wrapped
      else
        null;
    defaultFunctor = name: {
      inherit name;
      type = types.${name} or null;
      wrapped = null;
      payload = null;
      binOp = _: _: null;
    };
    isOptionType = isType "option-type";
    mkOptionType =
      {
        name,
        description ? null,
        descriptionClass ? null,
        check ? (_: true),
        merge ? mergeDefaultOption,
        emptyValue ? { },
        getSubOptions ? (_: { }),
        getSubModules ? null,
        substSubModules ? (_: null),
        typeMerge ? defaultTypeMerge functor,
        functor ? defaultFunctor name,
        deprecationMessage ? null,
        nestedTypes ? { },
      }:
      {
        _type = "option-type";
        inherit
          name
          descriptionClass
          check
          merge
          emptyValue
          getSubOptions
          getSubModules
          substSubModules
          typeMerge
          functor
          deprecationMessage
          nestedTypes
          ;
        description = lib.defaultTo name description;
      };
    mergeTypes =
      a: b:
      let
        merged = a.typeMerge b.functor;
      in
      if merged == null then { _type = "merge-error"; error = "Cannot merge types"; } else merged;
    optionDescriptionPhrase = unparenthesize: t: if unparenthesize (t.descriptionClass or null) then t.description else "(${t.description})";
    noCheckForDocsModule = { _module.check = lib.mkForce false; };

    raw = leaf "raw" "raw value" {
      merge = mergeOneOption;
    };
    anything = mkOptionType {
      name = "anything";
      description = "anything";
      descriptionClass = "noun";
      merge =
        loc: defs:
        let
          kind = x: if isAttrs x && lib.isStringLike x then "stringCoercibleSet" else builtins.typeOf x;
          kinds = lib.unique (map (def: kind def.value) defs);
          common = if builtins.length kinds == 1 then head kinds else null;
          merges = {
            set = (lazyAttrsOf anything).merge;
            list = loc: defs: if builtins.length defs > 1 then throw "`${showOption loc}' is defined as different lists by ${lib.showFiles (lib.getFiles defs)}" else (head defs).value;
            lambda = loc: defs: x: anything.merge (loc ++ [ "<function body>" ]) (map (def: { inherit (def) file; value = def.value x; }) defs);
            stringCoercibleSet = mergeOneOption;
          };
        in
        if common == null then
          throw "`${showOption loc}' is defined as values of different types by ${lib.showFiles (lib.getFiles defs)}"
        else
          (merges.${common} or mergeEqualOption) loc defs;
    };
    unspecified = leaf "unspecified" "unspecified value" { };
    bool = equalLeaf "bool" "boolean" isBool;
    boolByOr = leaf "boolByOr" "boolean (merged using or)" {
      check = isBool;
      merge = _: defs: builtins.any (def: def.value) defs;
    };
    int = equalLeaf "int" "signed integer" isInt;
    ints =
      let
        within = low: high: x: low <= x && x <= high;
        atLeast = lowest: word: meaning: addCheck int (x: lowest <= x) // {
          descriptionClass = "nonRestrictiveClause";
          description = "${word} integer, meaning ${meaning}";
          name = "${word}Int";
        };
        kindOf = low: if low < 0 then "signed" else "unsigned";
        between =
          lowest: highest:
          lib.throwIf (highest < lowest) "ints.between: no integer is both at least ${toString lowest} and at most ${toString highest}"
          addCheck int (within lowest highest)
          // {
            name = "intBetween";
            description = "integer between ${toString lowest} and ${toString highest} (both inclusive)";
          };
        sign = letter: bits: low: high: {
          "${letter}${toString bits}" = addCheck int (within low high) // {
            name = "${kindOf low}Int${toString bits}";
            description = "${toString bits} bit ${kindOf low} integer; between ${toString low} and ${toString high} (both inclusive)";
          };
        };
      in
      {
        inherit between;
        positive = atLeast 1 "positive" ">0";
        unsigned = atLeast 0 "unsigned" ">=0";
      }
      // sign "u" 8 0 255
      // sign "u" 16 0 65535
      // sign "u" 32 0 4294967295
      // sign "s" 8 (-128) 127
      // sign "s" 16 (-32768) 32767
      // sign "s" 32 (-2147483648) 2147483647;
    port = ints.u16;
    float = equalLeaf "float" "floating point number" isFloat;
    number = either int float;
    numbers = let
      signed = word: meaning: check: addCheck number check // {
        name = "number${word}";
        description = "${lib.toLower word} integer or floating point number, meaning ${meaning}";
      };
    in {
      between = low: high: addCheck number (x: x >= low && x <= high) // { name = "numberBetween"; description = "integer or floating point number between ${builtins.toJSON low} and ${builtins.toJSON high} (both inclusive)"; };
      positive = signed "Positive" ">0" (x: x > 0);
      nonnegative = signed "Nonnegative" ">=0" (x: x >= 0);
    };
    str = equalLeaf "str" "string" isString;
    nonEmptyStr = leaf "nonEmptyStr" "non-empty string" {
      check = x: isString x && builtins.match "[ \t\n]*" x == null;
      inherit (str) merge;
    };
    singleLineStr = leaf "singleLineStr" "(optionally newline-terminated) single-line string" {
      check = x: isString x && builtins.match "[^\n\r]*\n?" x != null;
      merge = loc: defs: lib.removeSuffix "\n" (mergeEqualOption loc defs);
    };
    strMatching =
      pattern:
      mkOptionType {
        name = "strMatching ${lib.strings.escapeNixString pattern}";
        description = "string matching the pattern " + pattern;
        descriptionClass = "noun";
        check = x: isString x && builtins.match pattern x != null;
        inherit (str) merge;
        functor = (defaultFunctor "strMatching") // {
          payload.pattern = pattern;
          type = same: strMatching same.pattern;
          binOp = samePayload;
        };
      };
    separatedString =
      sep:
      mkOptionType {
        name = "separatedString";
        description = "strings concatenated with ${builtins.toJSON sep}";
        descriptionClass = "noun";
        check = isString;
        merge = _: defs: concatStringsSep sep (lib.getValues defs);
        functor = defaultFunctor "separatedString" // {
          type = payload: separatedString payload.sep;
          payload = { inherit sep; };
          binOp = a: b: if a.sep == b.sep then { inherit (a) sep; } else null;
        };
      };
    lines = separatedString "\n" // { description = "strings concatenated with \"\\n\""; };
    commas = separatedString ",";
    envVar = separatedString ":";
    string = lib.warn "`types.string` is deprecated: it glues definitions together. Write `types.str`, or `types.lines` where several are wanted." (separatedString "" // { name = "string"; });
    passwdEntry = entry: addCheck entry (x: !(lib.hasInfix ":" x) && !(lib.hasInfix "\n" x)) // {
      name = "passwdEntry ${entry.name}";
      description = "${nounOf entry}, not containing newlines or colons";
      descriptionClass = "nonRestrictiveClause";
    };
    attrs = mkOptionType {
      name = "attrs";
      description = "attribute set";
      check = isAttrs;
      merge = _: defs: lib.foldl' (result: def: result // def.value) { } defs;
      emptyValue.value = { };
    };
    package = mkOptionType {
      name = "package";
      descriptionClass = "noun";
      check = x: lib.isDerivation x || lib.isStorePath x;
      merge =
        loc: defs:
        let
          result = mergeOneOption loc defs;
        in
        if builtins.isPath result || (isString result && !builtins.hasContext result) then lib.toDerivation result else result;
    };
    shellPackage = package // {
      check = x: lib.isDerivation x && lib.hasAttr "shellPath" x;
    };
    pkgs = addCheck (unique { message = "Two package sets cannot be merged; keep one definition."; } attrs // {
      description = "Nixpkgs package set";
      name = "pkgs";
      descriptionClass = "noun";
    }) (x: x ? callPackage || x._type or "" == "pkgs");
    path = pathWith { absolute = true; } // { name = "path"; };
    pathInStore = pathWith { inStore = true; };
    externalPath = pathWith { absolute = true; inStore = false; };
    pathWith =
      {
        inStore ? null,
        absolute ? null,
      }:
      mkOptionType {
        name = "path";
        description = concatStringsSep " " (
          lib.optional (absolute != null) (if absolute then "absolute" else "relative")
          ++ [ "path" ]
          ++ lib.optional (inStore != null) (lib.optionalString (!inStore) "not " + "in the Nix store")
        );
        descriptionClass = "noun";
        check =
          x:
          let
            text = toString x;
            isInStore = lib.hasPrefix (builtins.storeDir + "/") text && builtins.match "${lib.escapeRegex builtins.storeDir}/[0-9a-z]{32}-.+" text != null;
            isAbsolute = builtins.substring 0 1 text == "/";
          in
          lib.isStringLike x && (inStore == null || inStore == isInStore) && (absolute == null || absolute == isAbsolute);
        merge = mergeEqualOption;
        functor = defaultFunctor "path" // {
          type = pathWith;
          payload = { inherit inStore absolute; };
          binOp = samePayload;
        };
      };
    fileset = leaf "fileset" "fileset" {
      check = lib.fileset.isFileset;
      merge = _: defs: lib.fileset.unions (map (x: x.value) defs);
      emptyValue.value = lib.fileset.empty;
    };

    listOf =
      elemType:
      mkOptionType rec {
        name = "listOf";
        description = "list of ${parens elemType}";
        descriptionClass = "composite";
        check = isList;
        merge =
          loc: defs:
          map (x: x.value) (
            builtins.filter (x: x ? value) (
              builtins.concatLists (
                lib.imap1 (
                  n: def:
                  lib.imap1 (
                    m: value:
                    elementValue (loc ++ [ "[definition ${toString n}-entry ${toString m}]" ]) elemType [
                      {
                        inherit (def) file;
                        inherit value;
                      }
                    ]
                  ) def.value
                ) defs
              )
            )
          );
        emptyValue.value = [ ];
        inherit (elemType) getSubModules;
        getSubOptions = optionsBelow elemType "*";
        substSubModules = around listOf elemType;
        functor = elementFunctor name listOf elemType;
        nestedTypes.elemType = elemType;
      };
    elementFunctor = name: make: elemType: defaultFunctor name // {
      type = payload: make payload.elemType;
      payload = { inherit elemType; };
      binOp =
        a: b:
        let
          common = a.elemType.typeMerge b.elemType.functor;
        in
        lib.mapNullable (elemType: { inherit elemType; }) common;
    };
    nonEmptyListOf =
      elemType:
      addCheck (listOf elemType) (l: l != [ ])
      // {
        description = "non-empty ${nounOf (listOf elemType)}";
        emptyValue = { };
        substSubModules = around nonEmptyListOf elemType;
      };
    attrsOf =
      elemType:
      attrsWith {
        lazy = false;
        inherit elemType;
      };
    lazyAttrsOf =
      elemType:
      attrsWith {
        inherit elemType;
        lazy = true;
      };
    attrsWith =
      {
        elemType,
        lazy ? false,
        placeholder ? "name",
      }:
      mkOptionType {
        name = if !lazy then "attrsOf" else "lazyAttrsOf";
        description = "${lib.optionalString lazy "lazy "}attribute set of ${parens elemType}";
        descriptionClass = "composite";
        check = isAttrs;
        merge =
          loc: defs:
          let
            pushed = concatMap (def: map (value: { inherit (def) file; inherit value; }) (lib.modules.pushDownProperties def.value)) defs;
            byName = builtins.zipAttrsWith (_: values: values) (
              map (def: mapAttrs (_: value: { inherit (def) file; inherit value; }) def.value) pushed
            );
          in
          if lazy then
            mapAttrs (
              name: values:
              let
                merged = mergeDefinitions (loc ++ [ name ]) elemType values;
              in
              merged.optionalValue.value or elemType.emptyValue.value or merged.mergedValue
            ) byName
          else
            mapAttrs (_: x: x.value) (
              lib.filterAttrs (_: x: x ? value) (mapAttrs (name: values: elementValue (loc ++ [ name ]) elemType values) byName)
            );
        emptyValue.value = { };
        inherit (elemType) getSubModules;
        getSubOptions = optionsBelow elemType "<${placeholder}>";
        substSubModules = around (changed: attrsWith { inherit lazy placeholder; elemType = changed; }) elemType;
        functor = defaultFunctor "attrsWith" // {
          type = attrsWith;
          payload = { inherit elemType lazy placeholder; };
          binOp =
            a: b:
            let
              elements = a.elemType.typeMerge b.elemType.functor;
            in
            if a.lazy != b.lazy || elements == null then
              null
            else
              {
                elemType = elements;
                inherit (a) lazy;
                placeholder = if a.placeholder == "name" then b.placeholder else a.placeholder;
              };
        };
        nestedTypes.elemType = elemType;
      };
    loaOf = _: throw "types.loaOf was removed; use types.attrsOf";
    attrTag =
      tags:
      let
        names = attrNames tags;
        options = mapAttrs (name: opt: opt // { inherit (opt) type; declarations = opt.declarations or [ ]; declarationPositions = opt.declarationPositions or [ ]; }) tags;
      in
      mkOptionType {
        name = "attrTag";
        description = "attribute-tagged union with choices: ${concatStringsSep ", " names}";
        descriptionClass = "noun";
        check = x: isAttrs x && builtins.length (attrNames x) == 1 && tags ? ${head (attrNames x)};
        merge =
          loc: defs:
          let
            choices = lib.unique (concatMap (def: attrNames def.value) defs);
            choice = head choices;
          in
          if builtins.length choices == 1 then
            {
              ${choice} = (lib.modules.evalOptionValue (loc ++ [ choice ]) options.${choice} (map (def: { inherit (def) file; value = def.value.${choice}; }) defs)).value;
            }
          else
            throw "`${showOption loc}' is one of several things, and its definitions differ in which: ${concatStringsSep ", " choices}.${showDefs defs}";
        getSubOptions = prefix: mapAttrs (name: opt: opt // { loc = prefix ++ [ name ]; }) options;
        functor = defaultFunctor "attrTag" // {
          type = payload: attrTag payload.tags;
          payload = { inherit tags; };
          binOp = a: b: { tags = a.tags // b.tags; };
        };
      };
    uniq = unique { message = ""; };
    unique =
      { message }:
      type:
      mkOptionType {
        name = "unique";
        inherit (type)
          description
          descriptionClass
          check
          emptyValue
          getSubOptions
          getSubModules
          ;
        merge = lib.mergeUniqueOption {
          inherit message;
          inherit (type) merge;
        };
        substSubModules = around (unique { inherit message; }) type;
        functor = elementFunctor "unique" (unique { inherit message; }) type;
        nestedTypes.elemType = type;
      };
    nullOr =
      elemType:
      mkOptionType {
        name = "nullOr";
        description = "null or ${phrase [ "noun" "conjunction" ] elemType}";
        descriptionClass = "conjunction";
        check = x: if x != null then elemType.check x else true;
        merge =
          loc: defs:
          let
            nulls = lib.count (def: def.value == null) defs;
          in
          if nulls == builtins.length defs then
            null
          else if nulls != 0 then
            throw "`${showOption loc}' is null by some of its definitions and not by others: ${lib.showFiles (lib.getFiles defs)}."
          else
            elemType.merge loc defs;
        emptyValue.value = null;
        inherit (elemType) getSubOptions getSubModules;
        substSubModules = around nullOr elemType;
        functor = elementFunctor "nullOr" nullOr elemType;
        nestedTypes.elemType = elemType;
      };
    functionTo =
      elemType:
      mkOptionType {
        name = "functionTo";
        description = "function that evaluates to a(n) ${parens elemType}";
        descriptionClass = "composite";
        check = lib.isFunction;
        merge =
          loc: defs:
          let
            merged = x: mergeDefinitions (loc ++ [ "<function body>" ]) elemType (map (def: { inherit (def) file; value = def.value x; }) defs);
            names = lib.mergeAttrsList (map (def: lib.functionArgs def.value) defs);
          in
          if names == { } then x: (merged x).mergedValue else lib.setFunctionArgs (x: (merged x).mergedValue) names;
        inherit (elemType) getSubModules;
        getSubOptions = optionsBelow elemType "<function body>";
        substSubModules = around functionTo elemType;
        functor = elementFunctor "functionTo" functionTo elemType;
        nestedTypes.elemType = elemType;
      };
    submodule = modules: submoduleWith {
      shorthandOnlyDefinesConfig = true;
      modules = lib.toList modules;
    };
    deferredModule = deferredModuleWith { };
    deferredModuleWith =
      {
        staticModules ? [ ],
      }:
      mkOptionType {
        name = "deferredModule";
        description = "module";
        descriptionClass = "noun";
        check = x: isAttrs x || lib.isFunction x || path.check x;
        merge =
          loc: defs:
          let
            located = { file, value, ... }: lib.setDefaultModuleLocation "${file}, via option ${showOption loc}" value;
          in
          {
            imports = builtins.concatLists [
              staticModules
              (map located defs)
            ];
          };
        getSubOptions = (submoduleWith { modules = staticModules; }).getSubOptions;
        getSubModules = staticModules;
        substSubModules = m: deferredModuleWith { staticModules = m; };
        functor = (defaultFunctor "deferredModuleWith") // {
          type = deferredModuleWith;
          payload.staticModules = staticModules;
          binOp = one: other: { staticModules = one.staticModules ++ other.staticModules; };
        };
      };
    optionType = mkOptionType {
      name = "optionType";
      description = "optionType";
      descriptionClass = "noun";
      check = x: x._type or null == "option-type";
      merge =
        loc: defs:
        if builtins.length defs == 1 then
          (head defs).value
        else
          let
            merged = lib.foldl' (type: def: if type == null then null else type.typeMerge def.value.functor) (head defs).value (builtins.tail defs);
          in
          if merged == null then throw "The types given by `${showOption loc}' have no common one; they are from ${lib.showFiles (lib.getFiles defs)}." else merged;
    };
    optionDeclaration = leaf "optionDeclaration" "option declaration" {
      check = isOption;
      merge = mergeOneOption;
    };
    submoduleWith =
      {
        modules,
        specialArgs ? { },
        shorthandOnlyDefinesConfig ? false,
        description ? null,
        class ? null,
      }@attrs:
      let
        allModules =
          defs:
          map (
            { value, file }:
            { _file = file; } // (if shorthandOnlyDefinesConfig && isAttrs value then { config = value; } else { imports = [ value ]; })
          ) defs;
        base = lib.evalModules {
          inherit class specialArgs;
          modules = [
            {
              # Overridden by the name under which the submodule is used.
              _module.args.name = mkOptionDefault "‹name›";
            }
          ]
          ++ modules;
        };
        inherit (base._module) freeformType;
      in
      mkOptionType {
        name = "submodule";
        description = if description != null then description else if freeformType != null then "open submodule of ${phrase [ "noun" "composite" ] freeformType}" else "submodule";
        check = x: isAttrs x || lib.isFunction x || path.check x;
        merge =
          loc: defs:
          (base.extendModules {
            modules = [ { _module.args.name = lib.last loc; } ] ++ allModules defs;
            prefix = loc;
          }).config;
        emptyValue.value = { };
        getSubOptions =
          prefix:
          let
            docs = (base.extendModules { inherit prefix; modules = [ noCheckForDocsModule ]; }).options;
          in
          docs
          // lib.optionalAttrs (freeformType != null) { _freeformOptions = freeformType.getSubOptions prefix; };
        getSubModules = modules;
        substSubModules = m: submoduleWith (attrs // { modules = m; });
        nestedTypes = lib.optionalAttrs (freeformType != null) { inherit freeformType; };
        functor = defaultFunctor "submodule" // {
          type = submoduleWith;
          payload = { inherit modules class specialArgs shorthandOnlyDefinesConfig description; };
          binOp =
            a: b:
            let
              shared = builtins.intersectAttrs a.specialArgs b.specialArgs;
            in
            {
              class = if a.class == null then b.class else if b.class == null || a.class == b.class then a.class else throw "submoduleWith: two declarations of an option differ in their class, ${a.class} and ${b.class}.";
              modules = a.modules ++ b.modules;
              specialArgs = if shared == { } then a.specialArgs // b.specialArgs else throw "submoduleWith: two declarations of an option both give specialArgs ${toString (attrNames shared)}";
              shorthandOnlyDefinesConfig = if a.shorthandOnlyDefinesConfig == b.shorthandOnlyDefinesConfig then a.shorthandOnlyDefinesConfig else a.shorthandOnlyDefinesConfig && b.shorthandOnlyDefinesConfig;
              description = if a.description == null then b.description else if b.description == null || a.description == b.description then a.description else throw "submoduleWith: two declarations of an option differ in their description";
            };
        };
      };
    enum =
      values:
      let
        several = builtins.length values > 1;
        show = v: if isString v then ''"${v}"'' else if isInt v then toString v else if isBool v then lib.boolToString v else ''<${builtins.typeOf v}>'';
      in
      mkOptionType {
        name = "enum";
        description =
          if several then
            "one of " + concatMapStringsSep ", " show values
          else if values != [ ] then
            "value ${show (head values)} (singular enum)"
          else
            "impossible (empty enum)";
        descriptionClass = if several then "conjunction" else "noun";
        check = x: elem x values;
        merge = mergeEqualOption;
        functor = defaultFunctor "enum" // {
          type = payload: enum payload.values;
          payload = { inherit values; };
          binOp = a: b: { values = lib.unique (a.values ++ b.values); };
        };
      };
    either =
      t1: t2:
      let
        # "…, meaning >0" needs a comma after it.
        clause = t1.descriptionClass or "" == "nonRestrictiveClause";
      in
      mkOptionType {
        name = "either";
        description =
          (if clause then t1.description + "," else phrase [ "noun" "conjunction" ] t1)
          + " or "
          + phrase [ "noun" "conjunction" "composite" ] t2;
        descriptionClass = "conjunction";
        check = x: t1.check x || t2.check x;
        merge =
          loc: defs:
          let
            values = map (d: d.value) defs;
          in
          if all t1.check values then
            t1.merge loc defs
          else if all t2.check values then
            t2.merge loc defs
          else
            mergeOneOption loc defs;
        typeMerge =
          f':
          let
            a = t1.typeMerge (builtins.elemAt f'.payload.elemType 0).functor;
            b = t2.typeMerge (builtins.elemAt f'.payload.elemType 1).functor;
          in
          if f'.name == "either" && a != null && b != null then either a b else null;
        functor = defaultFunctor "either" // {
          type = payload: either (builtins.elemAt payload.elemType 0) (builtins.elemAt payload.elemType 1);
          payload.elemType = [
            t1
            t2
          ];
        };
        nestedTypes = {
          left = t1;
          right = t2;
        };
      };
    oneOf =
      list:
      if list == [ ] then throw "oneOf: the list of types is empty" else lib.foldl' either (head list) (builtins.tail list);
    coercedTo =
      coercedType: coerce: finalType:
      assert lib.assertMsg (coercedType.getSubModules == null) "coercedTo: values cannot be converted from a type with submodules, as ${coercedType.description} is";
      mkOptionType {
        name = "coercedTo";
        description = "${nounOf finalType} or ${nounOf coercedType} convertible to it";
        check = x: (coercedType.check x && finalType.check (coerce x)) || finalType.check x;
        merge =
          loc: defs:
          let
            convert = value: if coercedType.check value then coerce value else value;
          in
          finalType.merge loc (map (def: def // { value = convert def.value; }) defs);
        inherit (finalType) emptyValue getSubOptions getSubModules;
        substSubModules = m: coercedTo coercedType coerce (finalType.substSubModules m);
        typeMerge = _: null;
        functor = defaultFunctor "coercedTo" // { wrapped = finalType; };
        nestedTypes = {
          inherit coercedType finalType;
        };
      };
    addCheck =
      base: further:
      base
      // {
        check = x: if base.check x then further x else false;
      };
    luaInline = leaf "luaInline" "inline lua" {
      check = isType "lua-inline";
      merge = mergeOneOption;
    };
    json = serializableValueWith { typeName = "JSON"; nullable = true; };
    toml = serializableValueWith { typeName = "TOML"; nullable = false; };
    serializableValueWith =
      {
        typeName,
        nullable ? true,
      }:
      let
        scalar = oneOf [ bool int float str path ];
        value = (if nullable then nullOr else lib.id) (oneOf [ scalar (attrsOf value) (listOf value) ]) // { description = "${typeName} value"; };
      in
      value;
  };
in
let
  final = removeAttrs types [ "elementFunctor" ];
in
final // { types = final; }
