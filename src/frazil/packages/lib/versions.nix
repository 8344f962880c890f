{ lib }:
rec {
  inherit (builtins) compareVersions splitVersion;
  major = version: builtins.elemAt (splitVersion version) 0;
  minor = version: builtins.elemAt (splitVersion version) 1;
  patch = version: builtins.elemAt (splitVersion version) 2;
  majorMinor = version: lib.concatStringsSep "." (lib.take 2 (splitVersion version));
  pad =
    count: version:
    let
      head = builtins.match "([^-]*)(.*)" version;
      numbers = splitVersion (builtins.head head);
      padded = lib.take count (numbers ++ lib.replicate count "0");
    in
    lib.concatStringsSep "." padded + builtins.elemAt head 1;
}
