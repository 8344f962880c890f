# The function `derivation`: from a description of what is to be built to a value that stands for the result.
#
# In: a set with `name`, `system` and `builder`, maybe `outputs`, and whatever the builder is to see. Out: a set for the
# first output, in which `drvPath` and `outPath` are computed when they are asked for, with all that the caller gave
# beside them. Under the name of each output is the like set of that output; `all` lists these sets in order.
#
# Errors in a description come up through this file, so people meet it in traces:
#
#   error:
#     … while evaluating the attribute 'outPath'
#       at «nix-internal»/derivation-internal.nix
#     … while calling the 'derivationStrict' builtin
#       at «nix-internal»/derivation-internal.nix
#
# Names and places that a trace shows are therefore those that traces of other implementations of the language show:
# programs that read traces, and people who compare two of them, find the same. Whoever changes this file keeps the
# three places at which a trace can point:
#
#   - the call of `derivationStrict`,
#   - the attribute `outPath`,
#   - the selection of an output's path from what `derivationStrict` gave.
#
# What `derivationStrict` gives: `drvPath`, and the path of each output under its name.

drvAttrs@{
  outputs ? [ "out" ],
  ...
}:

let
  commonAttrs = drvAttrs // builtins.listToAttrs sets // {
    inherit drvAttrs;
    all = map (one: one.value) sets;
  };

  strict = derivationStrict drvAttrs;

  sets = map forOutput outputs;

  # A pair as `listToAttrs` wants it. What the caller gave is covered by what is
  # computed, whatever it is named.
  #
  # Nothing here is forced before somebody asks: a set may refer to itself
  # through what the caller gave.
  forOutput = outputName: {
    name = outputName;

    value = commonAttrs // {
      outPath = strict.${outputName};
      drvPath = strict.drvPath;
      type = "derivation";
      inherit outputName;
    };
  };
in
(builtins.head sets).value
