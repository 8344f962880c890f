{ lib }:
rec {
  inherit (builtins) trace addErrorContext unsafeGetAttrPos;
  traceIf = condition: text: x: if condition then trace text x else x;
  traceValFn = f: x: trace (f x) x;
  traceVal = traceValFn lib.id;
  traceSeq = shown: builtins.deepSeq shown (trace shown);
  traceSeqN =
    depth: x: y:
    let
      snip = value: if builtins.isList value then "[…]" else if builtins.isAttrs value then "{…}" else value;
      cut = n: value:
        if n == 0 then snip value
        else if builtins.isList value then map (cut (n - 1)) value
        else if builtins.isAttrs value then builtins.mapAttrs (_: cut (n - 1)) value
        else value;
    in
    trace (lib.generators.toPretty { allowPrettyValues = true; } (cut depth x)) y;
  traceValSeqFn = f: x: traceValFn f (builtins.deepSeq x x);
  traceValSeq = traceValSeqFn lib.id;
  traceValSeqNFn = f: depth: x: traceSeqN depth (f x) x;
  traceValSeqN = traceValSeqNFn lib.id;
  traceFnSeqN =
    depth: name: f: x:
    let
      result = f x;
    in
    traceSeqN (depth + 1) {
      fn = name;
      from = x;
      to = result;
    } result;
  runTests =
    tests:
    let
      chosen = tests.tests or [ ];
      wanted = name: if chosen == [ ] then lib.hasPrefix "test" name else builtins.elem name chosen;
    in
    builtins.concatMap (
      name:
      let
        test = tests.${name};
      in
      if name != "tests" && wanted name && test.expr != test.expected then
        [
          {
            inherit name;
            inherit (test) expected;
            result = test.expr;
          }
        ]
      else
        [ ]
    ) (builtins.attrNames tests);
  testAllTrue = expr: {
    inherit expr;
    expected = map (_: true) expr;
  };
  throwTestFailures =
    { failures, description ? "tests", ... }:
    if failures == [ ] then
      null
    else
      throw "${toString (builtins.length failures)} ${description} failed:\n${lib.concatMapStringsSep "\n" (f: "- ${f.name}: expected ${lib.generators.toPretty { } f.expected}, got ${lib.generators.toPretty { } f.result}") failures}";
}
