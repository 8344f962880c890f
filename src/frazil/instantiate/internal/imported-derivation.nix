# What importing a store derivation gives: as `derivation` does, from what the file says.
described@{
  name,
  drvPath,
  outputs,
  ...
}:
let
  forOutput = outputName: {
    name = outputName;
    value = shared // {
      inherit outputName;
      outPath = described.${outputName};
    };
  };

  pairs = map forOutput outputs;

  shared = builtins.listToAttrs pairs // {
    inherit drvPath name;
    type = "derivation";
    all = map (pair: pair.value) pairs;
  };
in
(builtins.head pairs).value
