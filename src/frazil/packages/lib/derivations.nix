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
        lib.throwIfNot (derivation.type or null == "derivation") "lazyDerivation: `derivation` is of type ${builtins.typeOf derivation} and no derivation." derivation;
    in
    {
      type = "derivation";
      inherit (checked) name system;
      inherit (checked) drvPath outPath outputName;
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
