# The function `derivation`: one set for each output, all sharing what the caller gave; the first one is the result.
arguments@{
  outputs ? [ "out" ],
  ...
}:
let
  made = derivationStrict arguments;

  forOutput = outputName: {
    name = outputName;
    value = shared // {
      inherit outputName;
      inherit (made) drvPath;
      outPath = made.${outputName};
      type = "derivation";
    };
  };

  pairs = map forOutput outputs;

  shared =
    arguments
    // builtins.listToAttrs pairs
    // {
      drvAttrs = arguments;
      all = map (pair: pair.value) pairs;
    };
in
(builtins.head pairs).value
