# Portable services of systemd (https://systemd.io/PORTABLE_SERVICES): one file with a unit and all that it needs.
{ lib, pkgs }:
{
  pname,
  version,
  # Derivations of unit files; the name of each is the unit's.
  units,
  description ? null,
  homepage ? null,
  # What a program expects at fixed places: `{ object = "${cacert}/etc/ssl"; symlink = "/etc/ssl"; }`.
  symlinks ? [ ],
  # Further packages: what the units and links name is there anyway.
  contents ? [ ],
  # Called so by older and by newer versions.
  squashfsTools ? squashfs-tools,
  squashfs-tools ? pkgs.squashfsTools,
  squash-compression ? "xz -Xdict-size 100%",
  squash-block-size ? "1M",
}:
let
  inherit (lib) assertMsg concatMapStrings escapeShellArg;
  file = "${pname}_${version}.raw";

  kinds = [
    "service"
    "socket"
    "target"
    "timer"
    "path"
  ];
  # The rule of systemd: behind the name of the service comes the end of a word, and one of these kinds.
  isUnitName =
    name:
    builtins.match "${lib.escapeRegex pname}([-@.][-@.:_a-zA-Z0-9\\\\]*)?[.](${lib.concatStringsSep "|" kinds})" name != null;
  unitName = unit: unit.name or (baseNameOf (toString unit));
  names = map unitName units;
  wrong = builtins.filter (name: !isUnitName name) names;
  twice = lib.subtractLists (lib.unique names) names ++ builtins.filter (name: lib.count (other: other == name) names > 1) (lib.unique names);

  # A variable of os-release(5), in quotes where a shell would need them.
  variable =
    name: value:
    let
      text = toString value;
      escaped = lib.escape [ "\\" "\"" "$" "`" ] text;
    in
    assert assertMsg (builtins.match ".*[\n].*" text == null) "portableService '${pname}': ${name} is more than one line";
    "${name}=${if builtins.match "[-0-9A-Za-z_.:/?=&~+@%,]+" text != null then text else "\"${escaped}\""}\n";
  osRelease = pkgs.writeText "os-release" (
    lib.concatStrings (
      lib.mapAttrsToList variable (
        lib.filterAttrs (_: value: value != null) {
          PORTABLE_ID = pname;
          PORTABLE_PRETTY_NAME = description;
          HOME_URL = homepage;
          ID = "nixos";
          PRETTY_NAME = "NixOS";
          BUILD_ID = "rolling";
        }
      )
    )
  );

  scaffold =
    pkgs.runCommand "root-fs-scaffold-${version}" { preferLocalBuild = true; }
      ''
        # Where systemd mounts what the machine has.
        mkdir -p $out/{dev,proc,sys,run,tmp} $out/var/{tmp,lib,cache,log} $out/etc/systemd/system $out${builtins.storeDir}
        touch $out/etc/resolv.conf $out/etc/machine-id
        cp ${osRelease} $out/etc/os-release
        ${lib.concatStrings (lib.zipListsWith copyUnit names units)}
        ${lib.concatStrings (lib.mapAttrsToList mountPoints folders)}
        ${concatMapStrings link symlinks}
      '';
  copyUnit = name: unit: ''
    if [ ! -f ${unit} ]; then
      echo "the unit '${name}' is not a file: ${unit}" >&2
      exit 1
    fi
    cp ${unit} $out/etc/systemd/system/${escapeShellArg name}
  '';
  # Folders of the machine that a unit asks for are mounted into the image, which cannot be written.
  folders = {
    State = "var/lib";
    Cache = "var/cache";
    Logs = "var/log";
    Configuration = "etc";
  };
  mountPoints = setting: place: ''
    for unit in $out/etc/systemd/system/*; do
      name=$(basename "$unit")
      name=''${name%.*}
      sed -e ':more; /\\$/ { N; s/\\\n/ /; b more }' "$unit" | sed -n 's/^[[:space:]]*${setting}Directory[[:space:]]*=//p' | tr ' \t:' '\n\n\n' |
        sed -e "s/%[pN]/$name/g" -e '/^$/d' -e '/%/d' -e '/^\//d' -e '/\.\./d' >mounted
      while read -r folder; do mkdir -p "$out/${place}/$folder"; done <mounted
    done
  '';
  link =
    { object, symlink }:
    let
      place = escapeShellArg "/${lib.removePrefix "/" symlink}";
    in
    ''
      if [ -e $out${place} ] || [ -L $out${place} ]; then
        echo "two things want the place "${place}" in the portable service '${pname}'" >&2
        exit 1
      fi
      mkdir -p "$(dirname $out${place})"
      ln -s ${escapeShellArg "${object}"} $out${place}
    '';
in
assert assertMsg (builtins.match "[a-zA-Z0-9][-a-zA-Z0-9._]*" pname != null)
  "portableService: '${pname}' cannot be the name of a service (letters, digits, '-', '.' and '_', a letter or digit first)";
assert assertMsg (builtins.match "[-a-zA-Z0-9._+~]+" version != null)
  "portableService '${pname}': '${version}' cannot be a version (letters, digits, '-', '.', '_', '+' and '~')";
assert assertMsg (units != [ ]) "portableService '${pname}' has no units";
assert assertMsg (wrong == [ ])
  "Unit names must be prefixed with the service name: ${lib.concatMapStringsSep ", " (name: "'${name}'") wrong} should be '${pname}.service', '${pname}-SOMETHING.service' or '${pname}@.service' (${lib.concatMapStringsSep ", " (kind: ".${kind}") kinds})";
assert assertMsg (twice == [ ]) "portableService '${pname}' has two units of the name '${lib.head twice}'";
pkgs.runCommand "${pname}-img-${version}"
  {
    inherit pname version;
    nativeBuildInputs = [ squashfsTools ];
    preferLocalBuild = true;
    passthru = {
      inherit units scaffold;
    };
    meta = lib.optionalAttrs (description != null) { inherit description; } // lib.optionalAttrs (homepage != null) { inherit homepage; };
    # Nothing in the file tells when or by whom it was made.
    SOURCE_DATE_EPOCH = 1;
    closure = pkgs.closureInfo { rootPaths = [ scaffold ] ++ contents; };
  }
  ''
    set -o pipefail
    # The scaffold's contents are the root; it is in the closure because its links lead from there.
    { grep -vxF ${scaffold} $closure/store-paths || true; } | LC_ALL=C sort | cut -c2- >paths
    mkdir $out
    # As an archive, so that nothing is copied. Links between equal files are an accident of the store that this runs in.
    tar --create --format=gnu --hard-dereference --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner \
      --directory=${scaffold} . --directory=/ --verbatim-files-from --files-from=paths |
      mksquashfs - "$out/${file}" -tar -quiet -no-progress -exit-on-error -no-xattrs -all-root -root-mode 755 \
        -b ${squash-block-size} -comp ${squash-compression}
  ''
