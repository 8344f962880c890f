# `stdenv.cc`: GCC and binutils that produce programs running from the store alone.
{
  lib,
  system,
  platform,
  shell,
  coreutils,
  gnused,
  gcc,
  binutils,
  glibc,
}:
let
  version = gcc.version;
in
derivation {
  name = "gcc-wrapper-${version}";
  inherit system version;
  pname = "gcc-wrapper";
  builder = shell;
  args = [
    "-e"
    ./build.sh
  ];
  inherit
    shell
    coreutils
    gcc
    binutils
    glibc
    ;
  sed = gnused;
  inherit (platform) triplet;
  loader = "${glibc}/lib/${platform.loader}";
  ccScript = ./cc.sh;
  ldScript = ./ld.sh;
  setupHook = ./setup-hook.sh;
  preferLocalBuild = true;
}
// {
  cc = gcc;
  libc = glibc;
  bintools = binutils // {
    dynamicLinker = "${glibc}/lib/${platform.loader}";
  };
  isGNU = true;
  isClang = false;
  targetPrefix = "";
  inherit version;
  meta = {
    description = "GNU Compiler Collection (wrapped)";
    mainProgram = "gcc";
    license = lib.licenses.gpl3Plus;
    platforms = [ system ];
  };
}
