# Systems: Linux on the processors that people run. `elaborate` gives what package definitions ask of a platform.
{ lib }:
let
  cpus = {
    x86_64 = { bits = 64; family = "x86"; arch = "x86-64"; linux = "x86_64"; go = "amd64"; node = "x64"; };
    aarch64 = { bits = 64; family = "arm"; arch = "armv8-a"; linux = "arm64"; go = "arm64"; node = "arm64"; };
    i686 = { bits = 32; family = "x86"; arch = "i686"; linux = "i386"; go = "386"; node = "ia32"; };
    armv7l = { bits = 32; family = "arm"; arch = "armv7-a"; linux = "arm"; go = "arm"; node = "arm"; };
    armv6l = { bits = 32; family = "arm"; arch = "armv6"; linux = "arm"; go = "arm"; node = "arm"; };
    riscv64 = { bits = 64; family = "riscv"; arch = "rv64gc"; linux = "riscv"; go = "riscv64"; node = "riscv64"; };
    powerpc64le = { bits = 64; family = "power"; arch = null; linux = "powerpc"; go = "ppc64le"; node = "ppc64"; };
    s390x = { bits = 64; family = "s390"; arch = null; linux = "s390"; go = "s390x"; node = "s390x"; big = true; };
  };
  aliases = { arm64 = "aarch64"; amd64 = "x86_64"; i386 = "i686"; i586 = "i686"; };
  kernels = {
    linux = { families = [ ]; };
    darwin = { families = [ "bsd" ]; };
    freebsd = { families = [ "bsd" ]; };
    none = { families = [ ]; };
  };
  # "x86_64-linux", "aarch64-unknown-linux-gnu", …
  parseText =
    text:
    let
      parts = lib.splitString "-" text;
      count = builtins.length parts;
      cpuName = aliases.${builtins.head parts} or (builtins.head parts);
      second = builtins.elemAt parts 1;
      isKernel = name: kernels ? ${name};
      kernelName = if isKernel second then second else if count > 2 then builtins.elemAt parts 2 else second;
      vendor = if isKernel second then (if second == "darwin" then "apple" else "unknown") else second;
      abiAt = if isKernel second then 2 else 3;
      abi =
        if count > abiAt then
          builtins.elemAt parts abiAt
        else if kernelName == "linux" then
          (if lib.hasPrefix "armv6" cpuName || lib.hasPrefix "armv7" cpuName then "gnueabihf" else "gnu")
        else
          "unknown";
    in
    if count < 2 || !(cpus ? ${cpuName}) then
      throw "Unknown CPU type or system: ${text}"
    else if !(isKernel kernelName) then
      throw "Unknown kernel in system: ${text}"
    else
      {
        _type = "system";
        cpu = {
          _type = "cpu-type";
          name = cpuName;
          inherit (cpus.${cpuName}) bits family arch;
          significantByte.name = if cpus.${cpuName}.big or false then "bigEndian" else "littleEndian";
        };
        vendor = { _type = "vendor"; name = vendor; };
        kernel = { _type = "kernel"; name = kernelName; inherit (kernels.${kernelName}) families; };
        abi = { _type = "abi"; name = abi; };
      };
  double = parsed: "${parsed.cpu.name}-${parsed.kernel.name}";
  triple =
    parsed:
    let
      suffix = if parsed.abi.name == "unknown" then "" else "-${parsed.abi.name}";
    in
    "${parsed.cpu.name}-${parsed.vendor.name}-${parsed.kernel.name}${suffix}";
  predicates =
    parsed:
    let
      cpu = parsed.cpu;
      kernel = parsed.kernel.name;
    in
    rec {
      isi686 = cpu.name == "i686";
      isx86_32 = cpu.family == "x86" && cpu.bits == 32;
      isx86_64 = cpu.family == "x86" && cpu.bits == 64;
      isx86 = cpu.family == "x86";
      isAarch32 = cpu.family == "arm" && cpu.bits == 32;
      isAarch64 = cpu.family == "arm" && cpu.bits == 64;
      isAarch = cpu.family == "arm";
      isArmv7 = cpu.name == "armv7l";
      isArm = isAarch32;
      isRiscV = cpu.family == "riscv";
      isRiscV64 = isRiscV && cpu.bits == 64;
      isRiscV32 = isRiscV && cpu.bits == 32;
      isPower = cpu.family == "power";
      isPower64 = isPower && cpu.bits == 64;
      isS390 = cpu.family == "s390";
      isS390x = isS390 && cpu.bits == 64;
      isMips = false;
      isMips64 = false;
      isLoongArch64 = false;
      isSparc = false;
      isWasm = false;
      isAvr = false;
      is32bit = cpu.bits == 32;
      is64bit = cpu.bits == 64;
      isILP32 = false;
      isBigEndian = cpu.significantByte.name == "bigEndian";
      isLittleEndian = !isBigEndian;
      isLinux = kernel == "linux";
      isDarwin = kernel == "darwin";
      isMacOS = isDarwin;
      isiOS = false;
      isBSD = isDarwin || isFreeBSD;
      isFreeBSD = kernel == "freebsd";
      isNetBSD = false;
      isOpenBSD = false;
      isSunOS = false;
      isCygwin = false;
      isMsvc = false;
      isWindows = false;
      isMinGW = false;
      isWasi = false;
      isRedox = false;
      isGenode = false;
      isJavaScript = false;
      isUnix = isLinux || isBSD;
      isNone = kernel == "none";
      isAndroid = lib.hasPrefix "android" parsed.abi.name;
      isGnu = lib.hasPrefix "gnu" parsed.abi.name;
      isMusl = lib.hasPrefix "musl" parsed.abi.name;
      isUClibc = lib.hasPrefix "uclibc" parsed.abi.name;
      isElf = isLinux || isFreeBSD || isNone;
      isMacho = isDarwin;
      isPE = false;
      isEfi = isx86 || isAarch || isRiscV;
      isStatic = false;
    };
  elaborate =
    given:
    let
      attrs = if builtins.isString given then { system = given; } else given;
      parsed = attrs.parsed or (parseText (attrs.config or attrs.system));
      cpu = cpus.${parsed.cpu.name};
      final = {
        inherit parsed;
        system = double parsed;
        config = triple parsed;
        uname = {
          system = { linux = "Linux"; darwin = "Darwin"; freebsd = "FreeBSD"; }.${parsed.kernel.name} or null;
          processor = parsed.cpu.name;
          release = null;
        };
        libc = if final.isDarwin then "libSystem" else if final.isMusl then "musl" else if final.isLinux then "glibc" else "none";
        libDir = "lib";
        linuxArch = cpu.linux;
        linker = if final.isDarwin then "cctools" else "bfd";
        gcc = attrs.gcc or { };
        rustc = { };
        qemuArch = if final.isx86_64 then "x86_64" else if final.isi686 then "i386" else parsed.cpu.name;
        darwinArch = if final.isAarch64 then "arm64" else parsed.cpu.name;
        go = {
          GOARCH = cpu.go;
          GOOS = parsed.kernel.name;
          GOARM = if parsed.cpu.name == "armv7l" then "7" else if parsed.cpu.name == "armv6l" then "6" else null;
        };
        node = { platform = parsed.kernel.name; arch = cpu.node; };
        rust = {
          rustcTarget = "${parsed.cpu.name}-unknown-${parsed.kernel.name}-${parsed.abi.name}";
          rustcTargetSpec = final.rust.rustcTarget;
          cargoShortTarget = final.rust.rustcTarget;
          cargoEnvVarTarget = lib.toUpper (lib.replaceStrings [ "-" ] [ "_" ] final.rust.rustcTarget);
        };
        extensions = {
          executable = "";
          library = final.extensions.sharedLibrary;
          sharedLibrary = if final.isDarwin then ".dylib" else ".so";
          staticLibrary = ".a";
        };
        hasSharedLibraries = true;
        useLLVM = false;
        isCompatible = _: throw "isCompatible was removed; use canExecute";
        canExecute =
          other:
          final.parsed.kernel == other.parsed.kernel
          && (final.parsed.cpu.name == other.parsed.cpu.name || (final.isx86_64 && other.isi686));
        emulatorAvailable = pkgs: final.canExecute pkgs.stdenv.hostPlatform;
        emulator = pkgs: if pkgs.stdenv.hostPlatform.canExecute final then "${pkgs.runtimeShell} -c '\"$@\"' --" else throw "no emulator for ${final.config}";
        linux-kernel = attrs.linux-kernel or { };
      }
      // predicates parsed
      // removeAttrs attrs [ "system" "config" "parsed" ];
    in
    final;
  flakeExposed = [
    "x86_64-linux"
    "aarch64-linux"
    "x86_64-darwin"
    "armv6l-linux"
    "armv7l-linux"
    "i686-linux"
    "aarch64-darwin"
    "powerpc64le-linux"
    "riscv64-linux"
    "x86_64-freebsd"
  ];
  all = map (cpu: "${cpu}-linux") (builtins.attrNames cpus) ++ [ "x86_64-darwin" "aarch64-darwin" "x86_64-freebsd" "x86_64-none" "aarch64-none" "riscv64-none" ];
  having = predicate: builtins.filter (system: predicate (predicates (parseText system))) all;
  groups = {
    inherit all;
    none = [ ];
    linux = having (p: p.isLinux);
    darwin = having (p: p.isDarwin);
    unix = having (p: p.isUnix);
    x86_64 = having (p: p.isx86_64);
    x86 = having (p: p.isx86);
    i686 = having (p: p.isi686);
    aarch64 = having (p: p.isAarch64);
    aarch = having (p: p.isAarch);
    arm = having (p: p.isAarch32);
    armv7 = having (p: p.isArmv7);
    riscv = having (p: p.isRiscV);
    riscv64 = having (p: p.isRiscV64);
    power = having (p: p.isPower);
    s390x = having (p: p.isS390x);
    littleEndian = having (p: p.isLittleEndian);
    bigEndian = having (p: p.isBigEndian);
    gnu = having (p: p.isGnu);
    musl = [ ];
    freebsd = having (p: p.isFreeBSD);
    netbsd = [ ];
    openbsd = [ ];
    illumos = [ ];
    cygwin = [ ];
    windows = [ ];
    wasi = [ ];
    redox = [ ];
    embedded = having (p: p.isNone);
    mesaPlatforms = having (p: p.isLinux);
  };
in
{
  inherit elaborate flakeExposed;
  doubles = groups;
  platforms = groups;
  parse = {
    mkSystemFromString = parseText;
    doubleFromSystem = double;
    tripleFromSystem = triple;
    isSystem = x: x._type or null == "system";
  };
  inspect = { inherit predicates; };
  equals =
    a: b:
    let
      plain = system: removeAttrs system [ "canExecute" "emulator" "emulatorAvailable" "isCompatible" ];
    in
    plain a == plain b;
  systemToAttrs = x: if builtins.isAttrs x then x else { system = x; };
  examples = builtins.mapAttrs (_: config: { inherit config; }) {
    aarch64-multiplatform = "aarch64-unknown-linux-gnu";
    gnu32 = "i686-unknown-linux-gnu";
    gnu64 = "x86_64-unknown-linux-gnu";
    musl64 = "x86_64-unknown-linux-musl";
    riscv64 = "riscv64-unknown-linux-gnu";
  };
  architectures = { features = { }; inferiors = { }; };
}
