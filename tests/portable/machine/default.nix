# A machine with Debian's systemd, for `portablectl` and what it starts: kernel, first file system and root as QEMU takes
# them. The packages come from frazilpkgs' index and are unpacked without their maintainer scripts.
{ pkgs }:
let
  inherit (pkgs) lib;
  inherit (pkgs.debianPackages) index fetchPackage package;

  wanted = [
    "base-files"
    "bash"
    "busybox-static"
    "coreutils"
    "dash"
    "dbus"
    "libblkid1"
    "openssh-client"
    "openssh-server"
    "systemd"
    "systemd-container"
    "systemd-sysv"
    "util-linux"
  ];
  # What only maintainer scripts and people need.
  unwanted = [
    "adduser"
    "debconf"
    "debianutils"
    "init-system-helpers"
    "libpam-runtime"
    "lsb-base"
    "openssh-sftp-server"
    "perl-base"
    "procps"
    "runit-helper"
    "sensible-utils"
    "ucf"
  ];
  choose = alternatives: index.choose (lib.subtractLists unwanted alternatives);
  depends = name: builtins.filter (other: other != null && !builtins.elem other unwanted) (map choose (index.get name).depends);
  names = map (item: item.key) (
    builtins.genericClosure {
      startSet = map (key: { inherit key; }) wanted;
      operator = { key }: map (key: { inherit key; }) (depends key);
    }
  );
  packages = map fetchPackage (lib.sort lib.lessThan names);
  # The newest kernel for virtual machines: the package of that name only depends on it.
  kernel = fetchPackage (lib.findFirst (lib.hasPrefix "linux-image-") (throw "no kernel") (depends "linux-image-cloud-amd64"));
in
pkgs.runCommand "portable-test-machine"
  {
    inherit packages kernel;
    firstProgram = ./init.sh;
    nativeBuildInputs = [
      pkgs.binutils
      pkgs.squashfsTools
      pkgs.xz
      (package "kmod")
    ];
    SOURCE_DATE_EPOCH = 1;
  }
  ''
    unpack() { ar p "$1" data.tar.xz | tar --extract --xz --no-same-owner --no-same-permissions --keep-directory-symlink -C "$2"; }
    # Some suites still have these folders apart from /usr.
    for place in root kernel; do
      mkdir -p $place/usr/{bin,sbin,lib,lib64}
      for name in bin sbin lib lib64; do ln -s usr/$name $place/$name; done
    done
    for deb in $packages; do unpack "$deb" root; done
    source ${./setup.sh}

    mkdir first $out
    unpack $kernel kernel
    cp kernel/boot/vmlinuz-* $out/kernel
    source ${./first.sh}
    (cd first; find . | LC_ALL=C sort | ../root/usr/bin/busybox cpio --quiet -o -H newc) >$out/first
    mksquashfs root $out/root -quiet -noappend -no-progress -all-root -comp lz4 -no-xattrs
  ''
