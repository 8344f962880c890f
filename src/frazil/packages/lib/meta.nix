{ lib }:
rec {
  addMetaAttrs = new: drv: if drv ? overrideAttrs then drv.overrideAttrs (old: { meta = (old.meta or { }) // new; }) else drv // { meta = (drv.meta or { }) // new; };
  setName = name: drv: drv // { inherit name; };
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
  setPrio = priority: addMetaAttrs { inherit priority; };
  lowPrio = setPrio 10;
  hiPrio = setPrio (-10);
  lowPrioSet = mapDerivationAttrset lowPrio;
  hiPrioSet = mapDerivationAttrset hiPrio;
  dontDistribute = addMetaAttrs { hydraPlatforms = [ ]; };
  platformMatch =
    platform: wanted:
    if builtins.isString wanted then platform.system or null == wanted else lib.matchAttrs (wanted.parsed or wanted) (if wanted ? parsed then platform.parsed else platform);
  availableOn =
    platform: pkg:
    (!(pkg ? meta.platforms) || builtins.any (platformMatch platform) pkg.meta.platforms)
    && builtins.all (wanted: !(platformMatch platform wanted)) (pkg.meta.badPlatforms or [ ]);
  licensesSpdx = lib.mapAttrs' (_: license: lib.nameValuePair license.spdxId license) (
    lib.filterAttrs (_: license: license ? spdxId) lib.licenses
  );
  getLicenseFromSpdxId = id: getLicenseFromSpdxIdOr id (throw "lib.meta.getLicenseFromSpdxId: no license matches ${id}");
  getLicenseFromSpdxIdOr =
    id: default:
    let
      lower = lib.mapAttrs' (name: lib.nameValuePair (lib.toLower name)) licensesSpdx;
    in
    lower.${lib.toLower id} or default;
  getExe =
    x:
    getExe' x (
      x.meta.mainProgram or (lib.warn
        "getExe: Package ${lib.strings.escapeNixIdentifier x.meta.name or x.pname or x.name} does not have the meta.mainProgram attribute. We'll assume that the main program has the same name for now, but this behavior is deprecated, because it leads to surprising errors when the assumption does not hold. If the package has a main program, please set `meta.mainProgram` in its definition to make this warning go away. Otherwise, if the package does not have a main program, or if you don't control its definition, use getExe' to specify the name to the program, such as lib.getExe' foo \"bar\"."
        lib.getName x
      )
    );
  getExe' =
    x: name:
    assert lib.assertMsg (lib.isDerivation x) "lib.meta.getExe': The first argument is of type ${builtins.typeOf x}, but it should be a derivation instead.";
    assert lib.assertMsg (lib.isString name) "lib.meta.getExe': The second argument is of type ${builtins.typeOf name}, but it should be a string instead.";
    assert lib.assertMsg (builtins.length (lib.splitString "/" name) == 1) "lib.meta.getExe': The second argument \"${name}\" is a nested path with a \"/\" character, but it should just be the name of the executable instead.";
    "${lib.getBin x}/bin/${name}";
}
