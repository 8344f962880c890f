# Whether a package may be evaluated: licence, brokenness, known vulnerabilities, platform.
{
  lib,
  config,
  hostPlatform,
}:
let
  getEnv = name: builtins.getEnv name == "1";
  allowUnfree = config.allowUnfree or false || getEnv "NIXPKGS_ALLOW_UNFREE";
  allowBroken = config.allowBroken or false || getEnv "NIXPKGS_ALLOW_BROKEN";
  allowUnsupported = config.allowUnsupportedSystem or false || getEnv "NIXPKGS_ALLOW_UNSUPPORTED_SYSTEM";
  allowInsecure = getEnv "NIXPKGS_ALLOW_INSECURE";
  permittedInsecure = config.permittedInsecurePackages or [ ];
  insecurePredicate = config.allowInsecurePredicate or (attrs: builtins.elem (nameOf attrs) permittedInsecure);
  unfreePredicate = config.allowUnfreePredicate or (_: false);
  nameOf = attrs: attrs.name or "${attrs.pname or "«no pname»"}-${attrs.version or "«no version»"}";
  licenses = attrs: lib.toList (attrs.meta.license or [ ]);
  isFree = license: license.free or true;
  isUnfree = attrs: builtins.any (license: !(isFree license)) (licenses attrs);
  blocked = builtins.any (license: builtins.elem license (config.blocklistedLicenses or [ ]));
  place = attrs: attrs.meta.position or "«unknown place»";
  refuse =
    attrs: reason: variable: option:
    throw ''
      The package ‘${nameOf attrs}’ of ${place attrs} ${reason}, refusing to evaluate it.

      To allow it

      - where the package set is imported, give it this configuration:
           config = { ${option} };
      - for one command, set a variable in its environment:
           export ${variable}=1
        Flakes are evaluated without the environment, so give --impure as well there.
    '';
  problem =
    attrs:
    let
      meta = attrs.meta or { };
    in
    if isUnfree attrs && !allowUnfree && !(unfreePredicate attrs) then
      refuse attrs "has an unfree license (‘${lib.concatMapStringsSep "’, ‘" (l: l.shortName or (if builtins.isString l then l else "unknown")) (licenses attrs)}’)" "NIXPKGS_ALLOW_UNFREE" "allowUnfree = true;"
    else if blocked (licenses attrs) then
      refuse attrs "has a blocklisted license" "NIXPKGS_ALLOW_UNFREE" "blocklistedLicenses = [ ];"
    else if meta.broken or false && !allowBroken then
      refuse attrs "is marked as broken" "NIXPKGS_ALLOW_BROKEN" "allowBroken = true;"
    else if !allowUnsupported && !(lib.meta.availableOn hostPlatform attrs) then
      refuse attrs "is not for the platform ‘${hostPlatform.system}’" "NIXPKGS_ALLOW_UNSUPPORTED_SYSTEM" "allowUnsupportedSystem = true;"
    else if meta.knownVulnerabilities or [ ] != [ ] && !allowInsecure && !(insecurePredicate attrs) then
      refuse attrs "is marked as insecure" "NIXPKGS_ALLOW_INSECURE" "permittedInsecurePackages = [ \"${nameOf attrs}\" ];"
    else
      true;
in
{
  # The complete `meta` of a derivation.
  metaOf =
    attrs: position:
    let
      meta = attrs.meta or { };
      outputs = attrs.outputs or [ "out" ];
      has = name: builtins.elem name outputs;
    in
    {
      name = nameOf attrs;
      outputsToInstall = [ (if has "bin" then "bin" else if has "out" then "out" else builtins.head outputs) ] ++ lib.optional (has "man") "man";
      available = (builtins.tryEval (problem attrs)).success;
      broken = false;
      insecure = meta.knownVulnerabilities or [ ] != [ ];
      unfree = isUnfree attrs;
      unsupported = !(lib.meta.availableOn hostPlatform attrs);
    }
    // lib.optionalAttrs (position != null) { position = "${position.file}:${toString position.line}"; }
    // meta;
  check = problem;
}
