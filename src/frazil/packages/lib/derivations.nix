{ lib }:
{
  # A derivation whose evaluation is put off until one of its attributes is needed.
  lazyDerivation =
    {
      derivation,
      meta ? null,
      passthru ? { },
      outputs ? [ "out" ],
    }:
    let
      checked =
        lib.throwIfNot (derivation.type or null == "derivation") "lazyDerivation: input must be a derivation." derivation;
    in
    {
      type = "derivation";
      inherit (checked) outPath outputName drvPath name system;
      inherit outputs;
      meta = if meta != null then meta else checked.meta;
    }
    // lib.genAttrs outputs (name: checked.${name})
    // passthru;
  optionalDrvAttr = condition: value: if condition then value else null;
  warnOnInstantiate =
    text: drv:
    let
      guarded = builtins.mapAttrs (_: lib.warn text) (removeAttrs drv [ "meta" "name" "type" ]);
    in
    drv // guarded;
  addDrvOutputDependencies = builtins.addDrvOutputDependencies or (x: x);
  inherit (builtins) unsafeDiscardOutputDependency;
}
