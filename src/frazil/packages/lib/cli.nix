{ lib }:
let
  # An option and its value: two words, or one if there is a separator.
  pair =
    separator: option: text:
    if separator != null then
      [ (option + separator + text) ]
    else
      [
        option
        text
      ];
in
rec {
  # `--name value` pairs in GNU's manner.
  toGNUCommandLine =
    {
      mkOptionName ? (name: if builtins.stringLength name == 1 then "-${name}" else "--${name}"),
      mkBool ? (name: value: lib.optional value (mkOptionName name)),
      mkList ? (name: value: lib.concatMap (mkOption name) value),
      mkOption ? (
        name: value:
        if value == null then
          [ ]
        else
          pair optionValueSeparator (mkOptionName name) (lib.generators.mkValueStringDefault { } value)
      ),
      optionValueSeparator ? null,
    }:
    options:
    let
      by = {
        bool = mkBool;
        list = mkList;
      };
      words = name: (by.${builtins.typeOf options.${name}} or mkOption) name options.${name};
    in
    builtins.concatMap words (builtins.attrNames options);
  toGNUCommandLineShell = options: attrs: lib.escapeShellArgs (toGNUCommandLine options attrs);

  # The form before it, told how each option looks by a function of its name.
  toCommandLine =
    optionFormat: attrs:
    let
      render =
        name: value:
        let
          format = optionFormat name;
          text = format.formatArg or (lib.generators.mkValueStringDefault { });
          one =
            x:
            pair (format.sep or null) format.option (text x);
        in
        if value == null then
          [ ]
        else if builtins.isList value then
          lib.concatMap (render name) value
        else if builtins.isBool value && !(format.explicitBool or false) then
          lib.optional value format.option
        else
          one value;
    in
    builtins.concatLists (lib.mapAttrsToList render attrs);
  toCommandLineShell = optionFormat: attrs: lib.escapeShellArgs (toCommandLine optionFormat attrs);
  toCommandLineGNU =
    {
      isLong ? (name: builtins.stringLength name > 1),
      explicitBool ? false,
      formatArg ? (value: lib.generators.mkValueStringDefault { } value),
    }:
    toCommandLine (name: {
      option = if isLong name then "--${name}" else "-${name}";
      sep = if isLong name then "=" else "";
      inherit explicitBool formatArg;
    });
  toCommandLineShellGNU = options: attrs: lib.escapeShellArgs (toCommandLineGNU options attrs);
}
