# Older names that expressions still use.
{ lib }:
let
  inherit (builtins) attrNames foldl' head;
  keyed =
    list:
    map (package: {
      key = builtins.unsafeDiscardStringContext (package.outPath or (toString package));
      inherit package;
    }) (builtins.filter (x: x != null) list);
  propagated = drv: drv.propagatedBuildInputs or [ ] ++ drv.propagatedNativeBuildInputs or [ ];
in
rec {
  inherit (lib) fakeHash fakeSha256 fakeSha512;
  maybeEnv =
    name: default:
    lib.findFirst (text: text != "") default [ (builtins.getEnv name) ];
  maybeAttr = name: default: attrs: attrs.${name} or default;
  maybeAttrNullable = maybeAttr;
  getValue = attrs: name: attrs.${name} or null;
  ifEnable = condition: value: if condition then value else if builtins.isList value then [ ] else if builtins.isAttrs value then { } else if builtins.isString value then "" else null;
  checkFlag =
    attrs: name:
    { true = true; false = false; }.${name} or (builtins.elem name (attrs.flags or [ ]) || attrs.${name} or false);
  checkReqs =
    attrs: defaults: condition: builtins.all (name: checkFlag (defaults // attrs) name) condition;
  imap = lib.imap1;
  condConcat =
    name: list: check:
    if list == [ ] then
      name
    else if check (head list) then
      condConcat (name + builtins.elemAt list 1) (lib.drop 2 list) check
    else
      condConcat name (lib.drop 2 list) check;
  nvs = name: value: { ${name} = value; };
  setAttr = attrs: name: value: attrs // nvs name value;
  setAttrMerge =
    name: default: attrs: f:
    setAttr attrs name (f (attrs.${name} or default));
  mergeAttrsWithFunc =
    f: a: b:
    foldl' (all: name: all // { ${name} = if all ? ${name} then f all.${name} b.${name} else b.${name}; }) a (attrNames b);
  mergeAttrsConcatenateValues = mergeAttrsWithFunc (a: b: lib.toList a ++ lib.toList b);
  mergeAttrsNoOverride =
    {
      mergeLists ? [ "buildInputs" "propagatedBuildInputs" ],
      overrideSnd ? [ "buildPhase" ],
    }:
    a: b:
    a
    // builtins.mapAttrs (
      name: value:
      if !(a ? ${name}) || builtins.elem name overrideSnd then
        value
      else if builtins.elem name mergeLists then
        a.${name} ++ value
      else
        throw "mergeAttrsNoOverride: both sets give ${name}"
    ) b;
  # How `mergeAttrByFunc` combines what two sets both have.
  mergeAttrByFunc =
    a: b:
    let
      functions = mergeAttrBy // a.mergeAttrBy or { } // b.mergeAttrBy or { };
      both = builtins.intersectAttrs functions (builtins.intersectAttrs a b);
    in
    a // b // builtins.mapAttrs (name: _: functions.${name} a.${name} b.${name}) both // lib.optionalAttrs (a ? mergeAttrBy || b ? mergeAttrBy) { mergeAttrBy = functions; };
  mergeAttrsByFuncDefaults = foldl' mergeAttrByFunc { inherit mergeAttrBy; };
  mergeAttrsByFuncDefaultsClean = list: removeAttrs (mergeAttrsByFuncDefaults list) [ "mergeAttrBy" ];
  mergeAttrBy =
    lib.genAttrs [
      "nativeBuildInputs"
      "buildInputs"
      "propagatedBuildInputs"
      "configureFlags"
      "prePhases"
      "postAll"
      "patches"
    ] (_: a: b: a ++ b)
    // lib.genAttrs [ "passthru" "meta" "cfg" "flags" ] (_: a: b: a // b)
    // lib.genAttrs [ "preConfigure" "postInstall" ] (_: a: b: a + "\n" + b);
  defaultMergeArg = x: y: if builtins.isAttrs y then y else y x;
  defaultMerge = x: y: x // defaultMergeArg x y;
  foldArgs =
    merge: f: init: x:
    let
      merged = merge init (defaultMergeArg init x);
      self = foldArgs merge f merged;
    in
    f merged
    // {
      __functor = _: self;
      passthru = { };
    };
  innerModifySumArgs =
    f: x: a: b:
    if b == null then f a b // x else innerModifySumArgs f x (a // b);
  modifySumArgs = f: x: innerModifySumArgs f x { };
  # Elements in their order of first appearance, as two functions say what equals what.
  uniqList = { inputList, acc ? [ ] }: foldl' (found: x: if builtins.elem x found then found else found ++ [ x ]) acc inputList;
  uniqListExt =
    {
      inputList,
      outputList ? [ ],
      getter ? (x: x),
      compare ? (a: b: a == b),
    }:
    foldl' (found: x: if builtins.any (y: compare (getter x) (getter y)) found then found else found ++ [ x ]) outputList inputList;
  lazyGenericClosure =
    { startSet, operator }:
    let
      go =
        seen: pending:
        if pending == [ ] then
          [ ]
        else if builtins.elem (head pending).key seen then
          go seen (builtins.tail pending)
        else
          [ (head pending) ] ++ go ([ (head pending).key ] ++ seen) (builtins.tail pending ++ operator (head pending));
    in
    go [ ] startSet;
  # Packages with all that they propagate.
  closePropagation =
    list:
    map (x: x.package) (
      builtins.genericClosure {
        startSet = keyed list;
        operator = item: if builtins.isAttrs item.package then keyed (propagated item.package) else [ ];
      }
    );
  closePropagationFast = closePropagation;
  closePropagationSlow = closePropagation;
  innerClosePropagation = acc: list: acc ++ closePropagation list;
  nixType =
    x:
    if builtins.isAttrs x then
      (if x ? outPath then "derivation" else "attrs")
    else
      { lambda = "function"; }.${builtins.typeOf x} or (builtins.typeOf x);
}
