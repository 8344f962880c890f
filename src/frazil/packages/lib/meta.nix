{ lib }:
rec {
  addMetaAttrs =
    more: drv:
    let
      extended = from: { meta = from.meta or { } // more; };
    in
    if drv ? overrideAttrs then drv.overrideAttrs extended else drv // extended drv;
  setName = name: updateName (_: name);
  updateName = f: drv: drv // { name = f drv.name; };
  appendToName =
    suffix:
    updateName (
      name:
      let
        parts = builtins.parseDrvName name;
      in
      "${parts.name}-${suffix}-${parts.version}"
    );
  mapDerivationAttrset = f: builtins.mapAttrs (_: pkg: if lib.isDerivation pkg then f pkg else pkg);
  defaultPriority = 5;
  setPrio = number: addMetaAttrs { priority = number; };
  lowPrio = setPrio 10;
  hiPrio = setPrio (-10);
  lowPrioSet = mapDerivationAttrset lowPrio;
  hiPrioSet = mapDerivationAttrset hiPrio;
  dontDistribute = addMetaAttrs { hydraPlatforms = [ ]; };
  platformMatch =
    platform: wanted:
    if builtins.isString wanted then
      platform.system or null == wanted
    else
      # A pattern is one of a platform's attributes, or of its parsed name alone.
      lib.matchAttrs (if wanted ? parsed then wanted else { parsed = wanted; }) platform;
  availableOn =
    platform: pkg:
    (!(pkg ? meta.platforms) || builtins.any (platformMatch platform) pkg.meta.platforms)
    && builtins.all (wanted: !(platformMatch platform wanted)) (pkg.meta.badPlatforms or [ ]);
  licensesSpdx = lib.mapAttrs' (_: license: lib.nameValuePair license.spdxId license) (
    lib.filterAttrs (_: license: license ? spdxId) lib.licenses
  );
  getLicenseFromSpdxId = id: getLicenseFromSpdxIdOr id (
    lib.warn "getLicenseFromSpdxId: no license matches the identifier ${id}" { shortName = id; spdxId = id; }
  );
  getLicenseFromSpdxIdOr =
    id: default:
    let
      lower = lib.mapAttrs' (name: lib.nameValuePair (lib.toLower name)) licensesSpdx;
    in
    lower.${lib.toLower id} or default;
  # Parts of a Common Platform Enumeration name.
  cpeFullVersionWithVendor = vendor: version: {
    inherit vendor version;
    update = "*";
  };
  getExe =
    x:
    getExe' x (
      x.meta.mainProgram or (lib.warn
        "getExe: ${x.meta.name or x.pname or x.name} has no `meta.mainProgram`, so the program is taken to be called `${lib.getName x}'. That may be wrong: set `meta.mainProgram` in the package, or name the program with lib.getExe'."
        lib.getName x
      )
    );
  getExe' =
    x: name:
    assert lib.assertMsg (lib.isDerivation x) "lib.meta.getExe': wanted a package first, got a value of type ${builtins.typeOf x}";
    assert lib.assertMsg (lib.isString name) "lib.meta.getExe': wanted a program's name second, got a value of type ${builtins.typeOf name}";
    assert lib.assertMsg (builtins.length (lib.splitString "/" name) == 1) "lib.meta.getExe': a program's name has no slash, but \"${name}\" was given";
    "${lib.getBin x}/bin/${name}";
}
