# The package index: one small JSON file is read for each name that is asked for (docs/design/debian.md).
{ debian, architecture }:
let
  inherit (builtins)
    fromJSON
    readFile
    substring
    hashString
    ;
  root = "${debian}/${architecture}";
  digits = [ "0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "a" "b" "c" "d" "e" "f" ];
  pairs = f: builtins.concatMap (a: map (b: f (a + b)) digits) digits;
  # Two levels of attribute sets, so that each shard is parsed once.
  shards = builtins.listToAttrs (
    pairs (prefix: {
      name = prefix;
      value = builtins.listToAttrs (
        map (digit: {
          name = digit;
          value = fromJSON (readFile "${root}/${prefix}${digit}.json");
        }) digits
      );
    })
  );
  shard =
    name:
    let
      hash = hashString "sha256" name;
    in
    shards.${substring 0 2 hash}.${substring 2 1 hash};
in
rec {
  # A function on package names that computes each answer once.
  table =
    f:
    let
      rows = builtins.mapAttrs (
        _: row: builtins.mapAttrs (_: content: builtins.mapAttrs (name: _: f name) content.packages) row
      ) shards;
    in
    name:
    let
      hash = hashString "sha256" name;
    in
    rows.${substring 0 2 hash}.${substring 2 1 hash}.${name} or (f name);

  info = fromJSON (readFile "${debian}/info.json");

  # The record of a package, or null.
  find = name: (shard name).packages.${name} or null;

  # The names of the packages that provide a virtual one.
  providers = name: (shard name).virtual.${name} or [ ];

  get =
    name:
    let
      record = find name;
    in
    if record == null then throw "the Debian suite '${info.suite}' has no package '${name}' for ${architecture}" else record;

  # Of a list of alternatives the first that exists; null where none does.
  choose =
    alternatives:
    let
      candidates = builtins.concatMap (
        name: if find name != null then [ name ] else providers name
      ) alternatives;
    in
    if candidates == [ ] then null else builtins.head candidates;
}
