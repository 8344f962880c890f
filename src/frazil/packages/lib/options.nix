# Declaring options, and saying what is wrong with definitions of them.
{ lib }:
let
  inherit (lib) concatMapStringsSep concatStringsSep;
  byPriority = "\nOnly one can hold: write `lib.mkForce` before it, or `lib.mkDefault` before those that should yield.";
in
rec {
  isOption = lib.isType "option";
  mkOption = attrs: attrs // { _type = "option"; };
  mkEnableOption =
    name:
    mkOption {
      default = false;
      example = true;
      description = "Whether to enable ${name}.";
      type = lib.types.bool;
    };
  mkPackageOption =
    pkgs: name:
    {
      nullable ? false,
      default ? name,
      example ? null,
      extraDescription ? "",
      pkgsText ? "pkgs",
    }:
    let
      pathOf = x: if builtins.isList x then x else [ x ];
      text = x: concatStringsSep "." ([ pkgsText ] ++ x);
      defaultPath = pathOf default;
      shown = if builtins.isList name then lib.last name else name;
    in
    mkOption (
      {
        type = (if nullable then lib.types.nullOr else lib.id) lib.types.package;
        description = "The ${shown} package to use." + (if extraDescription == "" then "" else " ") + extraDescription;
      }
      // lib.optionalAttrs (default != null) {
        default = lib.attrByPath defaultPath (throw "${concatStringsSep "." defaultPath} cannot be found in ${pkgsText}") pkgs;
        defaultText = literalExpression (text defaultPath);
      }
      // lib.optionalAttrs (nullable && default == null) { default = null; }
      // lib.optionalAttrs (example != null) {
        example = literalExpression (if builtins.isList example then text example else example);
      }
    );
  mkSinkUndeclaredOptions =
    attrs:
    mkOption (
      {
        internal = true;
        visible = false;
        default = false;
        description = "Takes definitions of options that nothing declares.";
        type = lib.mkOptionType {
          name = "sink";
          check = _: true;
          merge = _: _: false;
        };
        apply = _: throw "This option only swallows definitions; it has no value to read.";
      }
      // attrs
    );
  getValues = map (def: def.value);
  getFiles = map (def: def.file);

  # Merges of definitions, for types that have no better one.
  mergeDefaultOption =
    loc: defs:
    let
      values = getValues defs;
    in
    if builtins.length values == 1 then
      builtins.head values
    else if builtins.all lib.isFunction values then
      x: mergeDefaultOption loc (map (f: { file = "<function>"; value = f x; }) values)
    else if builtins.all builtins.isList values then
      builtins.concatLists values
    else if builtins.all builtins.isAttrs values then
      lib.foldl' (a: b: a // b) { } values
    else if builtins.all builtins.isBool values then
      lib.foldl' lib.or false values
    else if builtins.all builtins.isString values then
      lib.concatStrings values
    else if builtins.all builtins.isInt values && builtins.all (x: x == builtins.head values) values then
      builtins.head values
    else
      throw "The definitions of `${showOption loc}' do not combine:${showDefs defs}";
  mergeOneOption =
    loc: defs:
    mergeUniqueOption { message = ""; } loc defs;
  mergeUniqueOption =
    {
      message,
      merge ? null,
    }:
    loc: defs:
    if builtins.length defs == 1 then
      if merge == null then (builtins.head defs).value else merge loc defs
    else
      throw "`${showOption loc}' takes a single definition, but has ${toString (builtins.length defs)}.\n${message}${showDefs defs}${byPriority}";
  mergeEqualOption =
    loc: defs:
    if defs == [ ] then
      abort "mergeEqualOption: ${showOption loc} has no definition to merge"
    else if builtins.length defs == 1 then
      (builtins.head defs).value
    else
      let
        reference = builtins.head defs;
        others = builtins.filter (def: def.value != reference.value) (builtins.tail defs);
        clash = showDefs [
          reference
          (builtins.head others)
        ];
      in
      if others == [ ] then
        reference.value
      else
        throw "Definitions of `${showOption loc}' contradict each other:${clash}${byPriority}";

  # Documentation.
  literalExpression =
    text:
    if !builtins.isString text then
      throw "literalExpression: wanted a string, got a value of type ${builtins.typeOf text}"
    else
      {
        _type = "literalExpression";
        inherit text;
      };
  literalCode =
    languageTag: text:
    lib.literalMD ''
      ```${languageTag}
      ${text}
      ```
    '';
  literalMD =
    text:
    if !builtins.isString text then
      throw "literalMD: wanted a string, got a value of type ${builtins.typeOf text}"
    else
      {
        _type = "literalMD";
        inherit text;
      };
  scrubOptionValue =
    x:
    if lib.isDerivation x then
      {
        type = "derivation";
        drvPath = x.name;
        outPath = x.name;
        inherit (x) name;
      }
    else if builtins.isList x then
      map scrubOptionValue x
    else if builtins.isAttrs x then
      builtins.mapAttrs (_: scrubOptionValue) (removeAttrs x [ "_args" ])
    else
      x;
  renderOptionValue =
    value: if value ? _type && value ? text then value else literalExpression (lib.generators.toPretty { multiline = true; allowPrettyValues = true; } value);
  optionAttrSetToDocList = options: optionAttrSetToDocList' [ ] options;
  optionAttrSetToDocList' =
    _: options:
    builtins.concatMap (
      opt:
      let
        shown = opt.visible or true;
        # What an option that says nothing of it is.
        plain = {
          description = null;
          readOnly = false;
          internal = false;
        };
        doc = plain // builtins.intersectAttrs plain opt // {
          inherit (opt) loc;
          name = showOption opt.loc;
          visible = shown == true || shown == "shallow";
          declarations = lib.remove unknownModule opt.declarations;
          type = if opt.type ? description then opt.type.description else "unspecified";
        }
        // lib.optionalAttrs (opt ? example) { example = renderOptionValue opt.example; }
        // lib.optionalAttrs (opt ? defaultText || opt ? default) {
          default = renderOptionValue (opt.defaultText or opt.default);
        }
        // lib.optionalAttrs (!(opt ? defaultText || opt ? default) && opt.type.getSubModules or null == null && opt.type.emptyValue or { } ? value) {
          default = renderOptionValue opt.type.emptyValue.value;
        }
        // lib.optionalAttrs (opt ? relatedPackages && opt.relatedPackages != null) { inherit (opt) relatedPackages; };
        nested = opt.type.getSubOptions opt.loc;
      in
      [ doc ] ++ lib.optionals (nested != { } && (shown == true || shown == "transparent")) (optionAttrSetToDocList' opt.loc nested)
    ) (lib.collect isOption options);

  showOption =
    parts:
    let
      plain = part: builtins.match "<.*>|‹.*›|\\*" part != null;
      show = part: if plain part then part else lib.strings.escapeNixIdentifier part;
    in
    concatMapStringsSep "." show parts;
  showFiles = concatMapStringsSep " and " (file: "`${file}'");
  showDefs =
    defs:
    lib.concatMapStrings (
      def:
      let
        pretty = lib.generators.toPretty { } (lib.generators.withRecursion { depthLimit = 10; throwOnDepthLimit = false; } def.value);
        tried = builtins.tryEval (builtins.deepSeq pretty pretty);
        lines = lib.splitString "\n" tried.value;
        shown = if builtins.length lines > 5 then lib.take 5 lines ++ [ "..." ] else lines;
      in
      "\n- In `${def.file}'" + lib.optionalString tried.success ": ${concatStringsSep "\n    " shown}"
    ) defs;
  showOptionWithDefLocs =
    { loc, files, ... }:
    lib.concatLines ([ "${showOption loc}, set by" ] ++ map (file: "  - ${file}") files);
  unknownModule = "<unknown-file>";
}
