{ lib }:
let
  inherit (lib.strings) escape concatStringsSep concatStrings;
  # A section's name as INI files have it.
  sectionName = escape [ "[" "]" ];
  plistId = "-//Apple Computer//DTD PLIST 1.0//EN";
in
rec {
  mkValueStringDefault =
    _: value:
    let
      unsupported = what: throw "generators.mkValueStringDefault: ${what} has no default text: ${toPretty { } value}";
    in
    if builtins.isInt value then
      toString value
    else if lib.isDerivation value then
      toString value
    else if builtins.isString value then
      value
    else if value == true then
      "true"
    else if value == false then
      "false"
    else if value == null then
      "null"
    else if builtins.isList value then
      unsupported "a list"
    else if builtins.isAttrs value then
      unsupported "a set of attributes"
    else if builtins.isFunction value then
      unsupported "a function"
    else if builtins.isFloat value then
      lib.strings.floatToString value
    else
      unsupported "a ${builtins.typeOf value}";

  mkKeyValueDefault =
    {
      mkValueString ? (value: mkValueStringDefault { } value),
    }:
    separator: key: value:
    "${escape [ separator ] key}${separator}${mkValueString value}";

  toKeyValue =
    {
      mkKeyValue ? mkKeyValueDefault { } "=",
      listsAsDuplicateKeys ? false,
      indent ? "",
    }:
    let
      line = key: value: indent + mkKeyValue key value + "\n";
      lines = key: value: map (line key) (if listsAsDuplicateKeys && builtins.isList value then value else [ value ]);
    in
    attrs: concatStrings (builtins.concatMap (key: lines key attrs.${key}) (builtins.attrNames attrs));

  toINI =
    {
      mkSectionName ? sectionName,
      mkKeyValue ? mkKeyValueDefault { } "=",
      listsAsDuplicateKeys ? false,
    }:
    sections:
    concatStringsSep "\n" (
      lib.mapAttrsToList (
        name: values: "[${mkSectionName name}]\n" + toKeyValue { inherit mkKeyValue listsAsDuplicateKeys; } values
      ) sections
    );

  toINIWithGlobalSection =
    {
      mkSectionName ? sectionName,
      mkKeyValue ? mkKeyValueDefault { } "=",
      listsAsDuplicateKeys ? false,
    }@options:
    {
      globalSection,
      sections ? { },
    }:
    (
      if globalSection == { } then
        ""
      else
        toKeyValue { inherit mkKeyValue listsAsDuplicateKeys; } globalSection + "\n"
    )
    + toINI options sections;

  toGitINI =
    attrs:
    let
      sectionName =
        path:
        let
          parts = lib.splitString "." path;
          section = builtins.head parts;
          rest = builtins.tail parts;
          subsection = concatStringsSep "." rest;
        in
        if rest == [ ] then section else "${section} \"${subsection}\"";
      valueText =
        value:
        let
          escaped = ''"${lib.replaceStrings [ "\n" ''"'' "\\" ] [ "\\n" ''\"'' "\\\\" ] value}"'';
        in
        mkValueStringDefault { } (if builtins.isString value then escaped else value);
      keyValue =
        key: value:
        let
          text = mkKeyValueDefault { mkValueString = valueText; } " = " key;
        in
        concatStringsSep "\n" (map (x: "\t" + text x) (lib.toList value));
      # Sets nested more than two levels become dotted subsections.
      flatten =
        path: value:
        if builtins.isAttrs value && !lib.isDerivation value then
          lib.foldl' (a: b: lib.recursiveUpdate a b) { } (
            lib.mapAttrsToList (name: inner: flatten (path ++ [ name ]) inner) value
          )
        else if builtins.length path == 1 then
          { ${builtins.head path} = value; }
        else
          {
            ${concatStringsSep "." (lib.init path)}.${lib.last path} = value;
          };
    in
    toINI {
      mkSectionName = sectionName;
      mkKeyValue = keyValue;
    } (flatten [ ] attrs);

  toDconfINI =
    sections:
    toINI {
      mkKeyValue = mkDconfKeyValue;
    } sections;
  mkDconfKeyValue = mkKeyValueDefault { mkValueString = value: toString (lib.gvariant.mkValue value); } "=";

  withRecursion =
    {
      depthLimit,
      throwOnDepthLimit ? true,
    }:
    value:
    let
      special = [
        "__functor"
        "__functionArgs"
        "__toString"
        "__pretty"
      ];
      cut =
        if throwOnDepthLimit then
          throw "generators.withRecursion: the value is nested deeper than the ${toString depthLimit} levels allowed"
        else
          "<unevaluated>";
      child = depth: x: if depthLimit != null && depth > depthLimit then cut else go depth x;
      go =
        depth: v:
        if builtins.isAttrs v then
          builtins.mapAttrs (
            name: x: if builtins.elem name special then (if depthLimit != null && depth + 1 > depthLimit then if name == "__functionArgs" then { } else (_: cut) else x) else child (depth + 1) x
          ) v
        else if builtins.isList v then
          map (child (depth + 1)) v
        else
          v;
    in
    go 0 value;

  toPretty =
    {
      allowPrettyValues ? false,
      multiline ? true,
      indent ? "",
    }:
    let
      go =
        indent: value:
        let
          open = if multiline then "\n${indent}  " else " ";
          close = if multiline then "\n${indent}" else " ";
          inner = indent + "  ";
        in
        if builtins.isInt value then
          toString value
        else if builtins.isFloat value then
          builtins.toJSON value
        else if builtins.isString value then
          prettyString indent value
        else if value == true then
          "true"
        else if value == false then
          "false"
        else if value == null then
          "null"
        else if builtins.isPath value then
          toString value
        else if builtins.isList value then
          if value == [ ] then
            "[ ]"
          else
            "[" + open + lib.concatMapStringsSep open (go inner) value + close + "]"
        else if builtins.isFunction value || (builtins.isAttrs value && value ? __functor && !(allowPrettyValues && value ? __pretty && value ? val)) then
          let
            arguments = lib.functionArgs value;
            shown = concatStringsSep ", " (lib.mapAttrsToList (name: optional: if optional then name + "?" else name) arguments);
          in
          if arguments == { } then "<function>" else "<function, args: {${shown}}>"
        else if builtins.isAttrs value then
          if allowPrettyValues && value ? __pretty && value ? val then
            value.__pretty value.val
          else if value == { } then
            "{ }"
          else if lib.isDerivation value then
            "<derivation ${value.name or "???"}>"
          else
            "{"
            + open
            + concatStringsSep open (
              lib.mapAttrsToList (name: x: "${lib.strings.escapeNixIdentifier name} = ${builtins.addErrorContext "while evaluating an attribute `${name}`" (go inner x)};") value
            )
            + close
            + "}"
        else
          abort "generators.toPretty: a value of the unknown type ${builtins.typeOf value}";
      prettyString =
        indent: text:
        let
          lines = builtins.filter builtins.isString (builtins.split "\n" text);
          escapeMultiline = lib.replaceStrings [ "\${" "''" ] [ "''\${" "'''" ];
          escapeSingle = lib.strings.escape [ "\\" "\"" ];
          escapeDollar = lib.replaceStrings [ "\${" ] [ "\\\${" ];
          body = lib.concatMapStringsSep "\n${indent}  " escapeMultiline (lib.init lines);
        in
        if multiline && builtins.length lines > 1 then
          "''\n${indent}  " + body + "\n${indent}" + (if lib.last lines == "" then "" else "  " + escapeMultiline (lib.last lines)) + "''"
        else
          "\"" + concatStringsSep "\\n" (map (line: escapeDollar (escapeSingle line)) lines) + "\"";
    in
    go indent;

  toJSON = _: builtins.toJSON;
  toYAML = _: builtins.toJSON;

  toPlist =
    {
      escape ? false,
    }:
    value:
    let
      text = if escape then lib.escapeXML else lib.id;
      go =
        indent: x:
        if x == null then
          ""
        else if builtins.isBool x then
          "${indent}<${lib.boolToString x}/>"
        else if builtins.isInt x then
          "${indent}<integer>${toString x}</integer>"
        else if builtins.isFloat x then
          "${indent}<real>${toString x}</real>"
        else if builtins.isString x || builtins.isPath x then
          "${indent}<string>${text (toString x)}</string>"
        else if builtins.isList x then
          concatStringsSep "\n" [
            "${indent}<array>"
            (concatStringsSep "\n" (map (go (indent + "\t")) x))
            "${indent}</array>"
          ]
        else if builtins.isAttrs x then
          concatStringsSep "\n" [
            "${indent}<dict>"
            (concatStringsSep "\n" (
              lib.concatMap (name: [
                "${indent}\t<key>${text name}</key>"
                (go (indent + "\t") x.${name})
              ]) (builtins.filter (name: x.${name} != null) (builtins.attrNames x))
            ))
            "${indent}</dict>"
          ]
        else
          abort "generators.toPlist: a property list holds no ${builtins.typeOf x}";
    in
    ''
      <?xml version="1.0" encoding="UTF-8"?>
      <!DOCTYPE plist PUBLIC "${plistId}" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
      <plist version="1.0">
      ${go "" value}
      </plist>'';

  toDhall =
    _:
    value:
    let
      go =
        x:
        if builtins.isAttrs x then
          "{ ${concatStringsSep ", " (lib.mapAttrsToList (name: y: "${name} = ${go y}") x)} }"
        else if builtins.isList x then
          "[ ${concatStringsSep ", " (map go x)} ]"
        else if builtins.isInt x then
          (if x < 0 then "" else "+") + toString x
        else if builtins.isBool x then
          if x then "True" else "False"
        else if builtins.isFunction x then
          abort "generators.toDhall: functions have no Dhall form here"
        else if x == null then
          abort "generators.toDhall: null has no type in Dhall"
        else
          builtins.toJSON x;
    in
    go value;

  mkLuaInline = expr: {
    _type = "lua-inline";
    inherit expr;
  };
  toLua =
    {
      multiline ? true,
      indent ? "",
      asBindings ? false,
    }@options:
    value:
    let
      inner = indent + "  ";
      open = if multiline then "\n${inner}" else " ";
      close = if multiline then "\n${indent}" else " ";
      nested = toLua (options // { indent = inner; asBindings = false; });
      item = name: x: if builtins.isInt name then nested x else "[${builtins.toJSON name}] = ${nested x}";
      items = concatStringsSep ",${open}";
      isInline = x: x._type or null == "lua-inline";
      binding =
        name: x:
        if builtins.match "[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*" name == null then
          throw "generators.toLua: ${builtins.toJSON name} cannot be a Lua variable's name"
        else
          "${indent}${name} = ${toLua (options // { asBindings = false; }) x}\n";
    in
    if asBindings then
      concatStrings (lib.mapAttrsToList binding value)
    else if value == null then
      "nil"
    else if builtins.isInt value || builtins.isFloat value || builtins.isString value || builtins.isBool value then
      builtins.toJSON value
    else if builtins.isPath value || lib.isDerivation value then
      builtins.toJSON "${value}"
    else if builtins.isList value then
      (if value == [ ] then "{}" else "{${open}${items (map nested value)}${close}}")
    else if isInline value then
      "(${value.expr})"
    else if builtins.isAttrs value then
      (if value == { } then "{}" else "{${open}${items (lib.mapAttrsToList item value)}${close}}")
    else
      abort "generators.toLua: Lua has no form for a ${builtins.typeOf value}";
}
