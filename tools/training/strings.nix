# Text: regular expressions, replacing, splitting, JSON, TOML, versions, paths, printing.
let
  lib = import ../../src/frazil/packages/lib;
  inherit (builtins) concatStringsSep filter foldl' fromJSON genList hashString isString map match replaceStrings split stringLength substring toJSON;

  words = genList (i: "item${toString i}.${toString (i * 13)}-name_${toString (i / 3)}") 2500;
  text = concatStringsSep "\n" words;
  lines = filter isString (split "\n" text);
  fields = map (match "([a-z]+)([0-9]+)\\.([^-]*)-(.*)") lines;
  tricky = map (match "(a|ab)*(c|bcd)?(d*).*|([[:alpha:]]+[0-9]*)+.*") (lib.take 50 words);
  escaped = map (w: lib.escapeShellArg (lib.replaceStrings [ "." "-" ] [ "/" " " ] w)) words;
  document = {
    names = words;
    nested = map (w: { name = w; size = stringLength w; kind = { a = true; b = null; c = 1.5; d = [ 1 2 3 ]; }; }) words;
  };
  json = toJSON document;
  configuration = ''
    # written out
    ${concatStringsSep "\n    " (map (w: ''${w} = "${lib.toUpper w}";'') (lib.take 400 words))}
      indented ''${not} this
  '';
  toml = concatStringsSep "\n" (map (i: ''
    [section.s${toString i}]
    name = "value ${toString i}"
    list = [ 1, 2, 3 ]
  '') (genList (i: i) 60));
  checks = {
    fields = foldl' (a: m: a + stringLength (builtins.elemAt m 3)) 0 fields;
    tricky = builtins.length (filter (m: m != null) tricky);
    replaced = hashString "sha256" (replaceStrings [ "item" "name" "_" ] [ "I" "N" "-" ] text);
    back = fromJSON json == document;
    inherit configuration;
    escaped = concatStringsSep " " escaped;
    pieces = foldl' (a: i: a + stringLength (substring i 4 text)) 0 (genList (i: i * 7) 2500);
    characters = lib.stringToCharacters (substring 0 3000 text);
    versions = builtins.sort (a: b: builtins.compareVersions a b < 0) (map (i: "1.${toString (i * 7 / 5)}.${toString i}pre") (genList (i: i) 600));
    parsed = map (w: builtins.parseDrvName "${w}-1.2") (lib.take 300 words);
    toml = builtins.attrNames (builtins.fromTOML toml).section;
    xml = stringLength (builtins.toXML (lib.take 300 words));
    ini = lib.generators.toINI { } { main = lib.genAttrs (lib.take 200 words) (w: stringLength w); };
    pretty = lib.generators.toPretty { } (lib.take 200 document.nested);
    suffix = builtins.length (filter (w: lib.hasSuffix "7" w || lib.hasPrefix "item1" w) words);
    infix = builtins.length (filter (lib.hasInfix "99") words);
    paths = map (w: toString (/. + "/a/${w}/../b")) words;
    base = map baseNameOf (map (w: "/x/${w}") words);
    systems = builtins.mapAttrs (n: v: (lib.systems.elaborate v).config) lib.systems.examples;
    contexts = builtins.getContext (concatStringsSep ":" (map (w: "${builtins.toFile "f" w}") (lib.take 100 words)));
  };
in
builtins.deepSeq checks (hashString "sha256" (toJSON (removeAttrs checks [ "contexts" ])))
