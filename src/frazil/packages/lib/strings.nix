{ lib }:
let
  inherit (builtins)
    stringLength
    substring
    replaceStrings
    elemAt
    length
    ;
  inherit (lib.lists) imap0 imap1 range;
  # The bytes from space to tilde, in order: their numbers start at 32.
  printable = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";
  asciiCodes =
    builtins.listToAttrs (
      imap0 (index: name: {
        inherit name;
        value = index + 32;
      }) (stringToCharacters printable)
    )
    // {
      "\t" = 9;
      "\n" = 10;
      "\r" = 13;
    };
  regexSpecials = stringToCharacters ".*+?|()[{^$\\";
  lowerLetters = stringToCharacters "abcdefghijklmnopqrstuvwxyz";
  upperLetters = stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  stringToCharacters = s: builtins.genList (p: substring p 1 s) (stringLength s);
in
rec {
  inherit stringToCharacters;
  # Of the language: texts, what makes texts of values, and what is used beside them.
  inherit (builtins)
    concatStringsSep
    match
    replaceStrings
    split
    stringLength
    substring
    ;
  inherit (builtins)
    fromJSON
    toJSON
    compareVersions
    parseDrvName
    readFile
    storeDir
    typeOf
    unsafeDiscardStringContext
    ;
  inherit (builtins)
    isString
    isPath
    isList
    isInt
    isAttrs
    head
    tail
    elem
    elemAt
    filter
    genList
    ;

  join = concatStringsSep;
  concatStrings = concatStringsSep "";
  concatMapStrings = concatMapStringsSep "";
  concatImapStrings = f: list: concatStrings (imap1 f list);
  intersperse =
    separator: list:
    if length list <= 1 then
      list
    else
      builtins.tail (
        builtins.concatMap (x: [
          separator
          x
        ]) list
      );
  concatMapStringsSep =
    separator: f: list:
    concatStringsSep separator (map f list);
  concatImapStringsSep =
    separator: f: list:
    concatStringsSep separator (imap1 f list);
  concatMapAttrsStringSep =
    separator: f: attrs:
    concatStringsSep separator (lib.attrValues (builtins.mapAttrs f attrs));
  concatLines = lines: concatMapStrings (line: "${line}\n") lines;
  replicate = count: piece: concatStrings (builtins.genList (_: piece) count);
  trim = trimWith {
    start = true;
    end = true;
  };
  trimWith =
    {
      start ? false,
      end ? false,
    }:
    s:
    let
      space = " \t\r\n";
      pattern =
        if start && end then
          "[${space}]*(.*[^${space}])[${space}]*"
        else if start then
          "[${space}]*(.*)"
        else if end then
          "(.*[^${space}])[${space}]*"
        else
          "(.*)";
      found = builtins.match pattern s;
    in
    if found == null then "" else builtins.head found;
  makeSearchPath =
    folder: paths:
    concatStringsSep ":" (map (path: path + "/" + folder) (builtins.filter (x: x != null) paths));
  makeSearchPathOutput =
    output: folder: packages:
    makeSearchPath folder (map (lib.getOutput output) packages);
  makeBinPath = packages: makeSearchPathOutput "bin" "bin" packages;
  makeIncludePath = packages: makeSearchPathOutput "dev" "include" packages;
  makeLibraryPath = packages: makeSearchPathOutput "lib" "lib" packages;
  normalizePath =
    s:
    builtins.foldl' (
      done: char: if char == "/" && hasSuffix "/" done then done else done + char
    ) "" (stringToCharacters s);
  optionalString = condition: s: if condition then s else "";
  hasPrefix =
    prefix: s:
    lib.warnIf (builtins.isPath prefix) "lib.strings.hasPrefix: ${toString prefix} is given as a path, which is no prefix of a string; see lib.path.hasPrefix" (
      substring 0 (stringLength prefix) s == prefix
    );
  hasSuffix =
    suffix: s:
    let
      want = stringLength suffix;
      have = stringLength s;
    in
    want <= have && substring (have - want) want s == suffix;
  hasInfix =
    infix: s:
    builtins.match ".*${escapeRegex "${infix}"}.*" "${s}" != null;
  charToInt = c: asciiCodes.${c} or (throw "charToInt: no number is known for '${c}', which is not in ASCII");
  escape = specials: replaceStrings specials (map (special: "\\" + special) specials);
  escapeC =
    list:
    replaceStrings list (
      map (c: "\\x${fixedWidthString 2 "0" (lib.toLower (lib.toHexString (charToInt c)))}") list
    );
  escapeURL =
    let
      unreserved = stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
      others = builtins.removeAttrs asciiCodes unreserved;
    in
    replaceStrings (builtins.attrNames others) (
      map (code: "%" + fixedWidthString 2 "0" (lib.toHexString code)) (builtins.attrValues others)
    );
  escapeShellArg =
    arg:
    let
      s = toString arg;
    in
    if builtins.match "[[:alnum:],._+:@%/-]+" s == null then "'${replaceStrings [ "'" ] [ "'\\''" ] s}'" else s;
  escapeShellArgs = words: concatMapStringsSep " " escapeShellArg words;
  isValidPosixName = name: builtins.match "[a-zA-Z_][a-zA-Z0-9_]*" name != null;
  toShellVar =
    name: value:
    let
      item = key: "[${escapeShellArg key}]=${escapeShellArg value.${key}}";
      array = option: items: "declare ${option} ${name}=(${items})";
      text =
        if builtins.isList value then
          array "-a" (escapeShellArgs value)
        else if isStringLike value || !builtins.isAttrs value then
          name + "=" + escapeShellArg value
        else
          array "-A" (concatMapStringsSep " " item (builtins.attrNames value));
    in
    lib.throwIf (!isValidPosixName name) "toShellVar: no shell variable can be called ${escapeNixString name}" text;
  toShellVars = variables: concatMapStringsSep "\n" (name: toShellVar name variables.${name}) (builtins.attrNames variables);
  escapeNixString = s: escape [ "$" ] (builtins.toJSON s);
  # What means something in a POSIX extended expression.
  escapeRegex = escape regexSpecials;
  escapeNixIdentifier =
    s:
    if builtins.match "[a-zA-Z_][a-zA-Z0-9_'-]*" s != null && !(builtins.elem s keywords) then
      s
    else
      escapeNixString s;
  keywords = [
    "assert"
    "else"
    "if"
    "in"
    "inherit"
    "let"
    "or"
    "rec"
    "then"
    "with"
  ];
  escapeXML = replaceStrings [ "\"" "'" "<" ">" "&" ] [ "&quot;" "&apos;" "&lt;" "&gt;" "&amp;" ];
  lowerChars = lowerLetters;
  upperChars = upperLetters;
  toLower = replaceStrings upperLetters lowerLetters;
  toUpper = replaceStrings lowerLetters upperLetters;
  toSentenceCase =
    s:
    lib.throwIfNot (isString s) "toSentenceCase: wanted a string, got a value of type ${builtins.typeOf s}" (
      toUpper (substring 0 1 s) + toLower (substring 1 (stringLength s) s)
    );
  toCamelCase =
    s:
    let
      words = builtins.filter isString (builtins.split "[-_ ]" s);
      # "fooBar" is two words.
      inner = word: splitStringBy (before: char: builtins.match "[a-z][A-Z]" (before + char) != null) true word;
      pieces = builtins.concatMap inner words;
    in
    lib.throwIfNot (isString s) "toCamelCase: wanted a string, got a value of type ${builtins.typeOf s}" (
      addContextFrom s (concatStrings ([ (toLower (builtins.head pieces)) ] ++ map toSentenceCase (builtins.tail pieces)))
    );
  addContextFrom = source: target: substring 0 0 source + target;
  appendContext = builtins.appendContext;
  splitString =
    separator: s:
    map (addContextFrom s) (
      builtins.filter builtins.isString (
        builtins.split (escapeRegex (toString separator)) (toString s)
      )
    );
  splitStringBy =
    predicate: keepSplit: s:
    let
      chars = stringToCharacters s;
      step =
        state: char:
        if predicate state.previous char then
          {
            previous = char;
            parts = state.parts ++ [ state.current ];
            current = if keepSplit then char else "";
          }
        else
          {
            previous = char;
            inherit (state) parts;
            current = state.current + char;
          };
      final = builtins.foldl' step {
        previous = "";
        parts = [ ];
        current = "";
      } chars;
    in
    map (addContextFrom s) (final.parts ++ [ final.current ]);
  removePrefix =
    prefix: s:
    let
      count = stringLength prefix;
    in
    if substring 0 count s == prefix then substring count (-1) s else s;
  removeSuffix =
    suffix: s:
    let
      want = stringLength suffix;
      have = stringLength s;
    in
    if want <= have && suffix == substring (have - want) want s then substring 0 (have - want) s else s;
  replaceString = old: new: replaceStrings [ old ] [ new ];
  stringAsChars = f: s: concatStrings (map f (stringToCharacters s));
  versionOlder = a: b: builtins.compareVersions b a == 1;
  versionAtLeast = a: b: !(versionOlder a b);
  getName = x: if builtins.isString x then (builtins.parseDrvName x).name else x.pname or (builtins.parseDrvName x.name).name;
  getVersion =
    x: if builtins.isString x then (builtins.parseDrvName x).version else x.version or (builtins.parseDrvName x.name).version;
  nameFromURL =
    url: separator:
    let
      file = lib.last (splitString "/" url);
      name = builtins.head (splitString separator file);
    in
    assert name != file;
    name;
  cmakeOptionType =
    type: feature: value:
    assert builtins.elem (toUpper type) [
      "BOOL"
      "FILEPATH"
      "PATH"
      "STRING"
      "INTERNAL"
      "LIST"
    ];
    "-D${feature}:${toUpper type}=${value}";
  cmakeBool = condition: flag: cmakeOptionType "bool" condition (toUpper (lib.boolToString flag));
  cmakeFeature = cmakeOptionType "string";
  mesonOption = feature: value: "-D${feature}=${value}";
  mesonBool = condition: flag: mesonOption condition (lib.boolToString flag);
  mesonEnable = feature: flag: mesonOption feature (if flag then "enabled" else "disabled");
  enableFeature = flag: feature: "--${if flag then "enable" else "disable"}-${feature}";
  enableFeatureAs = flag: feature: value: enableFeature flag feature + optionalString flag "=${value}";
  withFeature = flag: feature: "--${if flag then "with" else "without"}-${feature}";
  withFeatureAs = flag: feature: value: withFeature flag feature + optionalString flag "=${value}";
  fixedWidthString =
    width: filler: s:
    let
      have = stringLength s;
      missing = width - have;
      fill = stringLength filler;
    in
    lib.throwIf (missing < 0) "fixedWidthString: the string has ${toString have} characters, more than the width of ${toString width}" (
      if missing == 0 then
        s
      else
        let
          pad = concatStrings (lib.lists.replicate (missing / fill + 1) filler);
        in
        substring 0 missing pad + s
    );
  fixedWidthNumber =
    width: number:
    lib.pipe number [
      toString
      (fixedWidthString width "0")
    ];
  floatToString =
    float:
    let
      text = toString float;
      exact = float == builtins.fromJSON text;
    in
    lib.warnIf (!exact) "floatToString: ${text} is not quite the number that was given" text;
  isConvertibleWithToString =
    let
      simple = [
        "null"
        "int"
        "float"
        "bool"
      ];
    in
    x: isStringLike x || builtins.elem (builtins.typeOf x) simple || (builtins.isList x && builtins.all isConvertibleWithToString x);
  isStringLike = x: builtins.isString x || builtins.isPath x || x ? outPath || x ? __toString;
  isStorePath =
    x:
    isStringLike x
    && (
      let
        s = toString x;
      in
      substring 0 1 s == "/" && dirOf s == builtins.storeDir
      || builtins.match "/[0-9a-z]{52}" s != null
    );
  toInt =
    s:
    let
      found = builtins.match "[[:space:]]*(-?[[:digit:]]+)[[:space:]]*" s;
      number = builtins.head found;
      parsed = builtins.fromJSON number;
    in
    if found == null then
      throw "toInt: ${escapeNixString s} is no integer that Nix can hold."
    else if builtins.match "-?0[0-9]+" number != null then
      throw "toInt: ${escapeNixString s} may mean an octal number or a padded decimal one; see toIntBase10."
    else if builtins.isInt parsed then
      parsed
    else
      throw "toInt: ${escapeNixString s} is no integer that Nix can hold.";
  toIntBase10 =
    s:
    let
      found = builtins.match "[[:space:]]*0*(-?[[:digit:]]+)[[:space:]]*" s;
      parsed = builtins.fromJSON (builtins.head found);
    in
    if found == null then
      throw "toIntBase10: ${escapeNixString s} is no integer that Nix can hold."
    else if builtins.match "[[:space:]]*0+[[:space:]]*" s != null then
      0
    else if builtins.isInt parsed then
      parsed
    else
      throw "toIntBase10: ${escapeNixString s} is no integer that Nix can hold.";
  fileContents = file: removeSuffix "\n" (builtins.readFile file);
  sanitizeDerivationName =
    let
      allowed = builtins.match "[[:alnum:]+_?=-][[:alnum:]+._?=-]*";
    in
    text:
    let
      name = builtins.unsafeDiscardStringContext (toString text);
      # Store names may not start with a dot and hold few characters.
      parts = builtins.filter builtins.isString (builtins.split "[^[:alnum:]+._?=-]+" (
        builtins.head (builtins.match "\\.*(.*)" name)
      ));
      joined = concatStringsSep "-" parts;
      long = stringLength joined;
      short = substring (lib.max 0 (long - 207)) (-1) joined;
    in
    if stringLength name <= 207 && allowed name != null then
      name
    else if short == "" then
      "unknown"
    else
      short;
  commonPrefixLength =
    a: b:
    let
      limit = lib.min (stringLength a) (stringLength b);
      go = n: if n >= limit || substring n 1 a != substring n 1 b then n else go (n + 1);
    in
    go 0;
  commonSuffixLength =
    a: b:
    let
      la = stringLength a;
      lb = stringLength b;
      limit = lib.min la lb;
      go = n: if n >= limit || substring (la - n - 1) 1 a != substring (lb - n - 1) 1 b then n else go (n + 1);
    in
    go 0;
  levenshtein =
    a: b:
    let
      la = stringLength a;
      lb = stringLength b;
      # Row by row: each row is a list of the distances to the prefixes of b.
      firstRow = range 0 lb;
      nextRow =
        previous: i:
        builtins.foldl' (
          row: j:
          let
            cost = if substring i 1 a == substring j 1 b then 0 else 1;
          in
          row
          ++ [
            (lib.min (lib.min (elemAt row j + 1) (elemAt previous (j + 1) + 1)) (elemAt previous j + cost))
          ]
        ) [ (i + 1) ] (builtins.genList (x: x) lb);
    in
    elemAt (builtins.foldl' nextRow firstRow (builtins.genList (x: x) la)) lb;
  levenshteinAtMost =
    limit: a: b:
    let
      difference = stringLength a - stringLength b;
    in
    (if difference < 0 then -difference else difference) <= limit && levenshtein a b <= limit;
}
