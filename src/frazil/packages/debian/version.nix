# The upstream part of a Debian version: no epoch, no revision, no mark of repacking.
version:
let
  part =
    pattern: text:
    let
      found = builtins.match pattern text;
    in
    if found == null then text else builtins.head found;
  withoutEpoch = part "[0-9]+:(.*)" version;
  withoutRevision = part "(.*)-[^-]*" withoutEpoch;
  # "1.3.dfsg+really1.3.1" is 1.3.1, "1.2+dfsg2" is 1.2.
  really = part ".*[+]really(.*)" withoutRevision;
in
part "([^+~]*)[+~].*" really
