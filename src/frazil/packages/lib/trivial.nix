{ lib }:
let
  hexDigits = lib.stringToCharacters "0123456789ABCDEF";
in
rec {
  id = x: x;
  const = x: _: x;
  pipe = builtins.foldl' (value: f: f value);
  concat = x: y: x ++ y;
  "or" = x: y: x || y;
  and = x: y: x && y;
  xor = x: y: (!x) != (!y);
  bitNot = builtins.sub (-1);
  boolToString = flag: if flag then "true" else "false";
  boolToYesNo = flag: if flag then "yes" else "no";
  mergeAttrs = x: y: x // y;
  flip =
    f: a: b:
    f b a;
  defaultTo = default: value: if value == null then default else value;
  mapNullable = f: value: if value != null then f value else null;

  inherit (builtins)
    add
    bitAnd
    bitOr
    bitXor
    ceil
    deepSeq
    div
    floor
    genericClosure
    isBool
    isFloat
    isInt
    lessThan
    mul
    pathExists
    readFile
    seq
    sub
    ;

  version = release + versionSuffix;
  nixpkgsVersion = version;
  release = "25.11";
  codeName = "Frazil";
  versionSuffix = "pre-frazil";
  oldestSupportedRelease = 2505;
  oldestSupportedReleaseIsAtLeast = wanted: wanted <= oldestSupportedRelease;
  isInOldestRelease = oldestSupportedReleaseIsAtLeast;
  revisionWithDefault = default: default;
  inNixShell = "" != builtins.getEnv "IN_NIX_SHELL";
  inPureEvalMode = !(builtins ? currentSystem);

  min = x: y: if x < y then x else y;
  max = x: y: if x > y then x else y;
  mod = base: int: base - int * (base / int);
  compare =
    a: b:
    if a < b then
      -1
    else if a > b then
      1
    else
      0;
  splitByAndCompare =
    isFirst: first: second: a: b:
    if isFirst a then
      (if isFirst b then first a b else -1)
    else if isFirst b then
      1
    else
      second a b;

  importJSON = file: builtins.fromJSON (builtins.readFile file);
  importTOML = file: builtins.fromTOML (builtins.readFile file);

  warn =
    # Nix has `builtins.warn` since 2.23; before that, `trace`.
    builtins.warn or (
      text: value: builtins.trace "evaluation warning: ${text}" value
    );
  warnIf = condition: text: if condition then warn text else id;
  warnIfNot = condition: text: if condition then id else warn text;
  throwIf = condition: text: if condition then throw text else id;
  throwIfNot = condition: text: if condition then id else throw text;
  checkListOfEnum =
    text: valid: given:
    let
      listed = lib.concatMapStringsSep ", " toString;
      wrong = builtins.filter (x: !builtins.elem x valid) given;
    in
    throwIf (wrong != [ ]) "${text}: not among ${listed valid}: ${listed wrong}";
  info = text: value: builtins.trace "INFO: ${text}" value;
  showWarnings = warnings: result: lib.foldr warn result warnings;

  setFunctionArgs = f: arguments: {
    __functor = _: f;
    __functionArgs = arguments;
  };
  functionArgs =
    f:
    if !(f ? __functor) then
      builtins.functionArgs f
    else
      f.__functionArgs or (functionArgs (f.__functor f));
  isFunction = f: builtins.isFunction f || (f ? __functor && isFunction (f.__functor f));
  mirrorFunctionArgs =
    f:
    let
      arguments = functionArgs f;
    in
    g: setFunctionArgs g arguments;
  toFunction = value: if isFunction value then value else _: value;

  fromHexString =
    text:
    let
      digits = lib.stringToCharacters (lib.toUpper (lib.removePrefix "0x" text));
      values = builtins.listToAttrs (lib.imap0 (value: name: { inherit name value; }) hexDigits);
    in
    assert lib.assertMsg (digits != [ ]) "fromHexString: there are no digits in '${text}'";
    builtins.foldl' (
      total: digit: total * 16 + (values.${digit} or (throw "fromHexString: '${text}' is not hexadecimal"))
    ) 0 digits;
  toHexString =
    number: lib.concatMapStrings (digit: builtins.elemAt hexDigits digit) (toBaseDigits 16 number);
  toBaseDigits =
    base: number:
    let
      go = i: if i < base then [ i ] else go (i / base) ++ [ (mod i base) ];
    in
    assert builtins.isInt base && builtins.isInt number && base >= 2 && number >= 0;
    go number;
}
