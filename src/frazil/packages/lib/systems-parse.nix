# Names of systems: "x86_64-linux", "aarch64-unknown-linux-musl", … taken apart and put together.
{ lib }:
let
  typed = type: builtins.mapAttrs (name: value: { inherit name; } // value // { _type = type; });
  little = significantBytes.littleEndian;
  big = significantBytes.bigEndian;
  significantBytes = typed "significant-byte" {
    bigEndian = { };
    littleEndian = { };
  };
  cpu = family: bits: order: { inherit family bits; significantByte = order; };
  x86 = bits: arch: cpu "x86" bits little // { inherit arch; };
  arm = version: arch: cpu "arm" 32 little // { inherit version arch; };
  arm64 = order: cpu "arm" 64 order // { version = "8"; arch = "armv8-a"; };
  cpuTypes = typed "cpu-type" {
    arm = cpu "arm" 32 little;
    armv5tel = arm "5" "armv5t";
    armv6l = arm "6" "armv6";
    armv6m = arm "6" "armv6-m";
    armv7a = arm "7" "armv7-a";
    armv7l = arm "7" "armv7";
    armv7m = arm "7" "armv7-m";
    armv7r = arm "7" "armv7-r";
    armv8a = arm "8" "armv8-a";
    armv8m = arm "8" "armv8-m";
    armv8r = arm "8" "armv8-a";
    aarch64 = arm64 little;
    aarch64_be = arm64 big;
    arm64 = arm64 little // { name = "aarch64"; };
    i386 = x86 32 "i386";
    i486 = x86 32 "i486";
    i586 = x86 32 "i586";
    i686 = x86 32 "i686";
    x86_64 = x86 64 "x86-64";
    alpha = cpu "alpha" 64 little;
    arc = cpu "arc" 32 little;
    avr = {
      family = "avr";
      bits = 8;
    };
    javascript = cpu "javascript" 32 little;
    loongarch64 = cpu "loongarch" 64 little;
    m68k = cpu "m68k" 32 big;
    microblaze = cpu "microblaze" 32 big;
    microblazeel = cpu "microblaze" 32 little;
    mips = cpu "mips" 32 big;
    mipsel = cpu "mips" 32 little;
    mips64 = cpu "mips" 64 big;
    mips64el = cpu "mips" 64 little;
    mmix = cpu "mmix" 64 big;
    msp430 = cpu "msp430" 16 little;
    or1k = cpu "or1k" 32 big;
    powerpc = cpu "power" 32 big;
    powerpcle = cpu "power" 32 little;
    powerpc64 = cpu "power" 64 big;
    powerpc64le = cpu "power" 64 little;
    riscv32 = cpu "riscv" 32 little;
    riscv64 = cpu "riscv" 64 little;
    rx = cpu "rx" 32 little;
    s390 = cpu "s390" 32 big;
    s390x = cpu "s390" 64 big;
    sh4 = cpu "sh" 32 little;
    sparc = cpu "sparc" 32 big;
    sparc64 = cpu "sparc" 64 big;
    vc4 = cpu "vc4" 32 little;
    wasm32 = cpu "wasm" 32 little;
    wasm64 = cpu "wasm" 64 little;
  };
  vendors = typed "vendor" (lib.genAttrs [ "apple" "knuth" "none" "pc" "unknown" "w64" ] (_: { }));
  execFormats = typed "exec-format" (lib.genAttrs [ "aout" "elf" "macho" "pe" "unknown" "wasm" ] (_: { }));
  kernelFamilies = typed "exec-format" {
    bsd = { };
    darwin = { };
  };
  kernel = format: families: {
    execFormat = execFormats.${format};
    families = lib.getAttrs families kernelFamilies;
  };
  apple = kernel "macho" [ "darwin" ];
  plainKernels = typed "kernel" {
    cygwin = kernel "pe" [ ];
    darwin = apple;
    freebsd = kernel "elf" [ "bsd" ];
    genode = kernel "elf" [ ];
    ghcjs = kernel "unknown" [ ];
    ios = apple;
    linux = kernel "elf" [ ];
    mmixware = kernel "unknown" [ ];
    netbsd = kernel "elf" [ "bsd" ];
    none = kernel "unknown" [ ];
    openbsd = kernel "elf" [ "bsd" ];
    redox = kernel "elf" [ ];
    solaris = kernel "elf" [ ];
    tvos = apple;
    uefi = kernel "pe" [ ];
    wasi = kernel "wasm" [ ];
    watchos = apple;
    windows = kernel "pe" [ ];
  };
  kernels = plainKernels // {
    macos = plainKernels.darwin;
    win32 = plainKernels.windows;
  };
  float = kind: {
    eabi = true;
    float = kind;
  };
  abis = typed "abi" {
    android = { };
    androideabi.eabi = true;
    eabi = float "soft";
    eabihf = float "hard";
    elf = { };
    gnu = { };
    gnuabi64.abi = "64";
    gnuabielfv1.abi = "elfv1";
    gnuabielfv2.abi = "elfv2";
    gnuabin32.abi = "n32";
    gnueabi = float "soft";
    gnueabihf = float "hard";
    msvc = { };
    musl = { };
    muslabi64.abi = "64";
    muslabin32.abi = "n32";
    musleabi = float "soft";
    musleabihf = float "hard";
    uclibc = { };
    uclibceabi = float "soft";
    uclibceabihf = float "hard";
    unknown = { };
  };

  known =
    what: table: text: name:
    table.${name} or (throw "Unknown ${what} `${name}' in the system ${text}");
  isKernel = name: kernelNamed name != null;
  # A kernel may have its version in its name: "darwin20.3.0", "freebsd13".
  kernelNamed =
    name:
    let
      versioned = builtins.match "(darwin|freebsd|netbsd|openbsd|macos|ios)([0-9.]+)" name;
    in
    if kernels ? ${name} then
      kernels.${name}
    else if versioned != null then
      kernels.${builtins.head versioned}
    else if name == "mingw32" || name == "mingw" then
      kernels.windows
    else if name == "netbsdelf" then
      kernels.netbsd
    else
      null;

  # What each part of a name says, by the number of parts.
  skeleton =
    parts:
    let
      at = builtins.elemAt parts;
      count = builtins.length parts;
      bare = abi: { cpu = at 0; kernel = "none"; } // abi;
    in
    if count == 1 then
      bare { }
    else if count == 2 then
      if at 1 == "elf" then
        bare { abi = "elf"; }
      else if at 1 == "windows" then
        {
          cpu = at 0;
          kernel = "windows";
          abi = "msvc";
        }
      else
        {
          cpu = at 0;
          kernel = at 1;
        }
    else if count == 3 then
      if isKernel (at 1) && at 1 != "none" then
        {
          cpu = at 0;
          kernel = at 1;
          abi = at 2;
        }
      else if isKernel (at 2) then
        {
          cpu = at 0;
          vendor = at 1;
          kernel = at 2;
        }
        // lib.optionalAttrs (lib.hasPrefix "mingw" (at 2)) { abi = "gnu"; }
      else
        {
          cpu = at 0;
          vendor = if at 1 == "none" then "unknown" else at 1;
          kernel = "none";
          abi = at 2;
        }
    else if count == 4 then
      {
        cpu = at 0;
        vendor = at 1;
        kernel = at 2;
        abi = at 3;
      }
    else
      throw "system string '${lib.concatStringsSep "-" parts}' has ${toString count} parts, of 1 to 4 that it can have";

  defaultAbi =
    { cpu, kernel, ... }:
    if kernel.name == "windows" then
      "gnu"
    else if kernel.name != "linux" then
      "unknown"
    else if cpu.family == "arm" && cpu.bits == 32 then
      (if lib.versionAtLeast (cpu.version or "0") "6" then "gnueabihf" else "gnueabi")
    else if cpu.name == "powerpc64" then
      "gnuabielfv1"
    else
      "gnu";
  defaultVendor =
    kernel:
    if kernel.families ? darwin then
      "apple"
    else if kernel.execFormat == execFormats.pe && kernel.name != "uefi" then
      "pc"
    else
      "unknown";
  mkSystem = parts: { _type = "system"; } // parts;
  mkSystemFromString =
    text:
    let
      named = skeleton (lib.splitString "-" text);
      kernelType = kernelNamed named.kernel;
      parsed = {
        cpu = known "CPU type" cpuTypes text named.cpu;
        vendor = known "vendor" vendors text (named.vendor or (defaultVendor parsed.kernel));
        kernel = if kernelType != null then kernelType else throw "Unknown kernel `${named.kernel}' in the system ${text}";
        abi = known "ABI" abis text (named.abi or (defaultAbi parsed));
      };
    in
    builtins.seq parsed.cpu (builtins.seq parsed.kernel (mkSystem parsed));
in
{
  inherit
    cpuTypes
    vendors
    kernels
    kernelFamilies
    execFormats
    abis
    significantBytes
    mkSystem
    mkSystemFromString
    ;
  isSystem = x: x._type or null == "system";
  kernelName = { name, version ? "", ... }: name + toString version;
  # Apple's names.
  darwinArch = { name, ... }: { aarch64 = "arm64"; }.${name} or name;
  doubleFromSystem =
    { cpu, kernel, ... }: "${cpu.name}-${if kernel.families ? darwin then "darwin" else kernel.name}";
  tripleFromSystem =
    {
      cpu,
      vendor,
      kernel,
      abi,
      ...
    }:
    let
      cpuName = if kernel.families ? darwin && cpu.name == "aarch64" then "arm64" else cpu.name;
      netbsdElf = kernel.name == "netbsd" && (cpu.family == "arm" && cpu.bits == 32 || cpu.family == "x86" && cpu.bits == 32 || cpu.family == "m68k");
    in
    if kernel.name == "windows" && abi.name == "gnu" then
      "${cpu.name}-w64-mingw32"
    else
      "${cpuName}-${vendor.name}-${kernel.name}${lib.optionalString netbsdElf "elf"}${lib.optionalString (abi.name != "unknown") "-${abi.name}"}";
  # Whether code for one processor runs on another; every one runs its own.
  isCompatible =
    let
      runs = {
        x86_64 = [ "i686" ];
        i686 = [ "i586" ];
        i586 = [ "i486" ];
        i486 = [ "i386" ];
        armv8a = [ "armv7a" ];
        armv7a = [ "armv7l" ];
        armv7l = [ "armv6l" ];
        armv6l = [ "armv5tel" ];
        armv7r = [ "armv7a" ];
        armv7m = [ "armv6m" ];
        mips64 = [ "mips" ];
        mips64el = [ "mipsel" ];
        powerpc64 = [ "powerpc" ];
        sparc64 = [ "sparc" ];
        s390x = [ "s390" ];
      };
      go = a: b: a == b || builtins.any (next: go next b) (runs.${a} or [ ]);
    in
    a: b: go a.name b.name;
}
