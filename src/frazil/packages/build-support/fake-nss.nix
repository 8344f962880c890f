# /etc/passwd, /etc/group and /etc/nsswitch.conf with root and nobody: enough for programs that ask who they are.
{
  lib,
  runCommand,
  symlinkJoin,
  writeTextDir,
  extraPasswdLines ? [ ],
  extraGroupLines ? [ ],
}:
let
  lines = given: lib.concatMapStrings (line: line + "\n") given;
in
symlinkJoin {
  name = "fake-nss";
  paths = [
    (writeTextDir "etc/passwd" (
      lines (
        [ "root:x:0:0:root user:/var/empty:/bin/sh" ]
        ++ extraPasswdLines
        ++ [ "nobody:x:65534:65534:nobody:/var/empty:/bin/sh" ]
      )
    ))
    (writeTextDir "etc/group" (lines ([ "root:x:0:" ] ++ extraGroupLines ++ [ "nobody:x:65534:" ])))
    (writeTextDir "etc/nsswitch.conf" "hosts: files dns\n")
    (runCommand "var-empty" { } ''
      mkdir -p $out/var/empty
    '')
  ];
}
