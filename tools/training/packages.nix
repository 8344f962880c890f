# A package set: a fixed point with overlays, `callPackage`, overridable derivations, contexts of strings.
let
  lib = import ../../src/frazil/packages/lib;
  inherit (builtins) attrNames concatStringsSep foldl' functionArgs intersectAttrs isFunction listToAttrs mapAttrs removeAttrs toString;

  extends = overlay: f: final: let prev = f final; in prev // overlay final prev;
  fix = f: let x = f x; in x;

  overridable =
    f: arguments:
    let
      made = f arguments;
      copy = change: overridable f (arguments // (if isFunction change then change arguments else change));
    in
    if builtins.isAttrs made then
      made // { override = copy; overrideDerivation = change: overridable (a: derivation ((f a).drvAttrs // change (f a))) arguments; }
    else
      made;

  callWith =
    scope: f: extra:
    let
      function = if isFunction f then f else import f;
      automatic = intersectAttrs (functionArgs function) scope;
    in
    overridable function (automatic // extra);

  platform = lib.systems.elaborate "x86_64-linux";

  makeDerivation =
    {
      pname,
      version,
      buildInputs ? [ ],
      nativeBuildInputs ? [ ],
      propagatedBuildInputs ? [ ],
      configureFlags ? [ ],
      patches ? [ ],
      outputs ? [ "out" ],
      doCheck ? platform.isLinux,
      passthru ? { },
      meta ? { },
      ...
    }@attrs:
    let
      depends = lib.concatLists [ nativeBuildInputs buildInputs propagatedBuildInputs ];
      checked =
        if !(lib.all (d: d == null || d ? outPath || builtins.isString d) depends) then
          throw "${pname}: dependencies have to be derivations"
        else
          map (d: d.dev or d) (lib.filter (d: d != null) depends);
      drv = derivation (
        removeAttrs attrs [ "meta" "passthru" "pname" "version" "buildInputs" "nativeBuildInputs" "propagatedBuildInputs" "doCheck" ]
        // {
          name = "${pname}-${version}";
          inherit version outputs pname;
          system = platform.system;
          builder = "/bin/sh";
          args = [ "-e" (builtins.toFile "builder.sh" "source $stdenv/setup; genericBuild") ];
          dependencies = checked;
          inherit patches;
          configureFlags = configureFlags ++ lib.optional doCheck "--enable-check" ++ [ "--prefix=${placeholder "out"}" ];
          doCheck = if doCheck then "1" else "";
          env = concatStringsSep ":" (map (d: "${d}/bin") checked);
          ${if outputs != [ "out" ] then "moveOutputs" else null} = true;
        }
      );
    in
    drv
    // passthru
    // {
      inherit passthru;
      meta = {
        available = !(meta.broken or false);
        position = (builtins.unsafeGetAttrPos "pname" attrs).line or 0;
      }
      // meta;
      overrideAttrs = change: makeDerivation (attrs // change attrs);
    };

  names = lib.genList (n: "package${toString n}") 400;

  library =
    n:
    { stdenv, fetch, base, previous ? null, optional ? null, withDocs ? lib.mod n 3 == 0, lib, ... }@arguments:
    stdenv.mkDerivation rec {
      pname = "package${toString n}";
      version = "${toString (lib.mod n 7)}.${toString (lib.mod n 13)}.${toString n}";
      src = fetch {
        url = "https://example.org/${pname}/${lib.versions.majorMinor version}/${pname}-${version}.tar.gz";
        hash = builtins.hashString "sha256" pname;
      };
      outputs = [ "out" ] ++ lib.optionals withDocs [ "dev" "doc" ];
      nativeBuildInputs = [ base ] ++ lib.optional (optional != null) optional;
      buildInputs = lib.optionals (previous != null) [ previous ];
      configureFlags = [
        (lib.enableFeature withDocs "docs")
        (lib.withFeature (lib.versionAtLeast version "3.0") "new")
      ];
      postInstall = ''
        mkdir -p $out/share/${pname}
        ${lib.optionalString withDocs "moveToOutput share/doc \"$doc\""}
        substituteInPlace $out/bin/* --replace /usr ${base}
      '';
      preFixup = lib.concatMapStrings (x: "patch ${lib.escapeShellArg x}\n") buildInputs;
      meta = with lib; {
        description = "Number ${toString n}";
        license = licenses.mit;
        platforms = platforms.linux;
        broken = n == 399;
      };
    };

  packages =
    final:
    let
      callPackage = callWith final;
    in
    {
      inherit lib callPackage;
      stdenv.mkDerivation = makeDerivation;
      fetch =
        { url, hash }:
        derivation {
          name = baseNameOf url;
          system = "builtin";
          builder = "builtin:fetchurl";
          inherit url;
          outputHash = hash;
          outputHashAlgo = "sha256";
          outputHashMode = "flat";
        };
      base = derivation { name = "base"; system = "x86_64-linux"; builder = "/bin/sh"; };
    }
    // listToAttrs (
      lib.imap0 (n: name: {
        inherit name;
        value = callPackage (library n) (
          lib.optionalAttrs (n > 0) { previous = final."package${toString (n - 1 - lib.mod n 2)}" or null; }
          // lib.optionalAttrs (n > 10 && lib.mod n 5 == 0) { optional = final.package3; }
        );
      }) names
    );

  overlays = [
    (final: prev: { package7 = prev.package7.override { withDocs = true; }; })
    (final: prev: { package9 = prev.package9.overrideAttrs (old: { patches = [ ./packages.nix ]; version = old.version + "-patched"; }); })
    (final: prev: { everything = lib.attrVals (lib.filter (n: prev.${n}.meta.available) names) final; })
  ];

  set = fix (foldl' (f: overlay: extends overlay f) packages overlays);
in
derivation {
  name = "everything";
  system = "x86_64-linux";
  builder = "/bin/sh";
  paths = set.everything;
  sizes = builtins.toJSON (mapAttrs (n: v: builtins.stringLength v.name) (lib.getAttrs names set));
}
