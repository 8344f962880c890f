# Systems. `elaborate` gives what package definitions ask of a platform.
{ lib }:
let
  parse = import ./systems-parse.nix { inherit lib; };
  architectures = import ./systems-architectures.nix { inherit lib; };
  inherit (parse)
    abis
    cpuTypes
    kernels
    execFormats
    significantBytes
    kernelFamilies
    ;

  # Parts of a parsed system; a list holds alternatives.
  family = family: { cpu = { inherit family; }; };
  familyBits = family: bits: { cpu = { inherit family bits; }; };
  kernel = name: { kernel = kernels.${name}; };
  anyAbi = names: map (name: { abi = removeAttrs abis.${name} [ "assertions" ]; }) names;
  format = name: { kernel.execFormat = execFormats.${name}; };
  kin = name: { kernel.families.${name} = kernelFamilies.${name}; };
  patterns = {
    isi686.cpu = cpuTypes.i686;
    isx86 = family "x86";
    isx86_32 = familyBits "x86" 32;
    isx86_64 = familyBits "x86" 64;
    isAarch = family "arm";
    isAarch32 = familyBits "arm" 32;
    isAarch64 = familyBits "arm" 64;
    isArmv7 = map (arch: { cpu = { inherit arch; }; }) [ "armv7-a" "armv7" "armv7-m" "armv7-r" ];
    isAlpha = family "alpha";
    isArc = family "arc";
    isAvr = family "avr";
    isJavaScript.cpu = cpuTypes.javascript;
    isLoongArch64 = familyBits "loongarch" 64;
    isM68k = family "m68k";
    isMicroBlaze = family "microblaze";
    isMips = family "mips";
    isMips32 = familyBits "mips" 32;
    isMips64 = familyBits "mips" 64;
    isMips64n32 = familyBits "mips" 64 // { abi.abi = "n32"; };
    isMips64n64 = familyBits "mips" 64 // { abi.abi = "64"; };
    isMmix = family "mmix";
    isMsp430 = family "msp430";
    isOr1k = family "or1k";
    isPower = family "power";
    isPower64 = familyBits "power" 64;
    isRiscV = family "riscv";
    isRiscV32 = familyBits "riscv" 32;
    isRiscV64 = familyBits "riscv" 64;
    isRx = family "rx";
    isS390 = family "s390";
    isS390x = familyBits "s390" 64;
    isSh4 = family "sh";
    isSparc = family "sparc";
    isSparc64 = familyBits "sparc" 64;
    isVc4 = family "vc4";
    isWasm = family "wasm";
    is32bit.cpu.bits = 32;
    is64bit.cpu.bits = 64;
    isILP32 = [ (familyBits "wasm" 32) ] ++ map (abi: { abi = { inherit abi; }; }) [ "n32" "ilp32" "x32" ];
    isLittleEndian.cpu.significantByte = significantBytes.littleEndian;
    isBigEndian.cpu.significantByte = significantBytes.bigEndian;
    isEfi = map (version: { cpu = { family = "arm"; inherit version; }; }) [ "6" "7" "8" ] ++ map family [ "riscv" "x86" "loongarch" ];

    isBSD = kin "bsd";
    isDarwin = kin "darwin";
    isUnix = map kin [ "bsd" "darwin" ] ++ map kernel [ "linux" "solaris" "cygwin" "redox" ];
    isLinux = kernel "linux";
    isMacOS = kernel "darwin";
    isiOS = kernel "ios";
    isFreeBSD.kernel.name = "freebsd";
    isNetBSD = kernel "netbsd";
    isOpenBSD = kernel "openbsd";
    isSunOS = kernel "solaris";
    isCygwin = kernel "cygwin";
    isWindows = kernel "windows";
    isMinGW = kernel "windows" // builtins.head (anyAbi [ "gnu" ]);
    isMsvc = kernel "windows" // builtins.head (anyAbi [ "msvc" ]);
    isGenode = kernel "genode";
    isGhcjs = kernel "ghcjs";
    isRedox = kernel "redox";
    isWasi = kernel "wasi";
    isUefi = [ (kernel "uefi") ];
    isNone = kernel "none";
    isElf = format "elf";
    isMacho = format "macho";
    isPE = format "pe";

    isAndroid = anyAbi [ "android" "androideabi" ];
    isGnu = anyAbi [ "gnuabi64" "gnuabin32" "gnu" "gnueabi" "gnueabihf" "gnuabielfv1" "gnuabielfv2" ];
    isMusl = anyAbi [ "musl" "musleabi" "musleabihf" "muslabin32" "muslabi64" ];
    isUClibc = anyAbi [ "uclibc" "uclibceabi" "uclibceabihf" ];
    isEabi.abi.eabi = true;
    isAbiElfv1.abi.abi = "elfv1";
    isAbiElfv2 = [
      { abi.abi = "elfv2"; }
      (familyBits "power" 64 // { abi.name = "musl"; })
    ];
  };
  matchAnyAttrs = alternatives: attrs: builtins.any (pattern: lib.matchAttrs pattern attrs) (lib.toList alternatives);
  inspect = {
    inherit patterns matchAnyAttrs;
    predicates = builtins.mapAttrs (_: matchAnyAttrs) patterns;
    platformPatterns.isStatic = {
      parsed = { };
      isStatic = true;
    };
    patternLogicalAnd =
      left: right:
      let
        both = a: b: lib.recursiveUpdateUntil (path: x: y: if builtins.isAttrs x && builtins.isAttrs y then false else x == y || throw "patternLogicalAnd: the patterns say two things of ${lib.concatStringsSep "." path}") a b;
        pairs = lib.concatMap (a: map (b: both a b) (lib.toList right)) (lib.toList left);
      in
      if builtins.isList left || builtins.isList right then pairs else builtins.head pairs;
  };

  # What others call a processor, where that is not what we call it: one by one, then by family and width.
  called = {
    x86_64 = { node = "x64"; go = "amd64"; nim = "amd64"; };
    i386 = { qemu = "i386"; };
    i486 = { qemu = "i386"; };
    i586 = { qemu = "i386"; };
    i686 = { node = "ia32"; go = "386"; nim = "i386"; qemu = "i386"; };
    aarch64 = { nim = "arm64"; go = "arm64"; };
    arm.go = "arm";
    armv5tel = { rust = "armv5te"; go = "arm"; };
    armv6l = { rust = "arm"; go = "arm"; };
    armv7a.rust = "armv7";
    armv7l = { rust = "armv7"; go = "arm"; };
    loongarch64 = { node = "loong64"; go = "loong64"; };
    mips = { node = "mips"; go = "mips"; };
    mipsel = { node = "mipsel"; go = "mipsle"; };
    mips64el = { node = "mips64el"; go = "mips64le"; };
    powerpc = { qemu = "ppc"; node = "ppc"; };
    powerpcle = { qemu = "ppcle"; node = "ppc"; };
    powerpc64 = { qemu = "ppc64"; node = "ppc64"; go = "ppc64"; };
    powerpc64le = { qemu = "ppc64le"; node = "ppc64"; go = "ppc64le"; };
    riscv32.rust = "riscv32gc";
    riscv64 = { rust = "riscv64gc"; node = "riscv64"; go = "riscv64"; };
    s390.qemu = null;
    s390x = { node = "s390x"; go = "s390x"; };
    wasm32.go = "wasm";
  };
  calledByFamily = {
    x86 = {
      "32" = { efi = "ia32"; linux = "i386"; uboot = "x86"; rust = "x86"; };
      "64" = { efi = "x64"; };
    };
    arm = {
      "32" = lib.genAttrs [ "efi" "linux" "uboot" "qemu" "node" "nim" "rust" ] (_: "arm");
      "64" = { efi = "aa64"; linux = "arm64"; uboot = "arm64"; node = "arm64"; };
    };
    mips = {
      "32" = { linux = "mips"; uboot = "mips"; };
      "64" = { linux = "mips"; uboot = "mips64"; rust = "mips64"; };
    };
  }
  // builtins.mapAttrs (_: name: lib.genAttrs [ "32" "64" ] (_: { linux = name; uboot = name; })) {
    loongarch = "loongarch";
    microblaze = "microblaze";
    power = "powerpc";
    riscv = "riscv";
    s390 = "s390";
    sh = "sh";
  };
  # The name of a processor in the language of `by`; `default` where nothing is said.
  nameFor =
    by: default: cpu:
    called.${cpu.name}.${by} or calledByFamily.${cpu.family}.${toString cpu.bits}.${by} or default;
  # The same of kernels.
  kernelCalled = {
    linux = { uname = "Linux"; node = "linux"; };
    darwin = { uname = "Darwin"; node = "darwin"; };
    windows = { uname = "Windows"; node = "win32"; };
    cygwin = { uname = "CYGWIN_NT"; node = "win32"; };
    solaris.node = "sunos";
    freebsd = { uname = "FreeBSD"; node = "freebsd"; };
    openbsd = { uname = "OpenBSD"; node = "openbsd"; };
    netbsd.uname = "NetBSD";
    genode.uname = "Genode";
    redox.uname = "Redox";
    wasi.uname = "Wasi";
  };
  apple = {
    darwin = { platform = "macos"; variable = "MACOSX"; };
    ios = { platform = "ios"; variable = "IPHONEOS"; };
  };
  kernelSays = by: kernel: kernelCalled.${kernel.name}.${by} or null;

  firstOf = choices: default: lib.findFirst (choice: choice.when) { value = default; } choices;
  choose = choices: default: (firstOf (map ({ fst, snd }: { when = fst; value = snd; }) choices) default).value;
  case = fst: snd: { inherit fst snd; };

  # What GCC is told of a machine that is known by its processor alone.
  gccOf =
    final:
    choose [
      (case (final.isDarwin && final.isAarch64) {
        arch = "armv8.3-a+crypto+sha2+aes+crc+fp16+lse+simd+ras+rdm+rcpc";
        cpu = "apple-a13";
      })
      (case (final.parsed.cpu.version or "" == "5") { arch = "armv5te"; })
      (case (final.parsed.cpu.version or "" == "6") {
        arch = "armv6kz";
        fpu = "vfpv2";
      })
      (case (final.parsed.cpu.version or "" == "7") {
        arch = "armv7-a";
        fpu = "vfpv3-d16";
      })
      (case final.isAarch64 { arch = "armv8-a"; })
      (case final.isLoongArch64 {
        arch = "la64v1.0";
        cmodel = "medium";
        strict-align = false;
      })
      (case (final.parsed.cpu.name == "mipsel") {
        abi = "32";
        arch = "mips32r2";
      })
    ] { };
  libcOf =
    final:
    choose [
      (case final.isDarwin "libSystem")
      (case final.isMsvc "ucrt")
      (case final.isMinGW "msvcrt")
      (case final.isCygwin "cygwin")
      (case final.isWasi "wasilibc")
      (case (final.isWasm || final.isGhcjs) null)
      (case final.isRedox "relibc")
      (case final.isMusl "musl")
      (case final.isUClibc "uclibc")
      (case final.isAndroid "bionic")
      (case final.isLinux "glibc")
      (case final.isFreeBSD "fblibc")
      (case final.isOpenBSD "oblibc")
      (case final.isNetBSD "nblibc")
      (case final.isAvr "avrlibc")
      (case final.isNone "newlib")
    ] "native/impure";
  rustOf =
    given: final:
    let
      inherit (final.parsed) cpu vendor kernel abi;
      target =
        if final.isWasi then
          "${cpu.name}-wasip1"
        else
          "${called.${cpu.name}.rust or cpu.name}-${vendor.name}-${kernel.name}"
          + lib.optionalString (abi.name != "unknown") "-${if lib.hasPrefix "gnuabielf" abi.name then "gnu" else abi.name}";
    in
    {
      rustcTarget = target;
      rustcTargetSpec = target;
      cargoShortTarget = lib.removeSuffix ".json" (baseNameOf final.rust.rustcTargetSpec);
      cargoEnvVarTarget = lib.replaceStrings [ "-" "." ] [ "_" "_" ] (lib.toUpper final.rust.cargoShortTarget);
      isNoStdTarget = final.isNone;
      platform = {
        arch = calledByFamily.${cpu.family}.${toString cpu.bits}.rust or cpu.name;
        os = if final.isDarwin then "macos" else kernel.name;
        target-family = lib.optional final.isUnix "unix" ++ lib.optional final.isWindows "windows" ++ lib.optional final.isWasm "wasm";
        vendor = vendor.name;
      };
    }
    // given;
  functionNames = [
    "canExecute"
    "emulator"
    "emulatorAvailable"
    "staticEmulatorAvailable"
  ];
  elaborate =
    given:
    let
      all = systemToAttrs given;
      args = removeAttrs all [
        "parsed"
        "system"
        "_withoutFunctions"
      ];
      predicates = builtins.mapAttrs (_: holds: holds final.parsed) inspect.predicates;
      cpu = final.parsed.cpu;
      emulatorFor =
        pkgs:
        # What runs here needs no emulator: a program that only starts it.
        lib.optionalDrvAttr (pkgs.stdenv.hostPlatform.canExecute final) (
          lib.getExe (pkgs.writeShellScriptBin "start" ''exec "$@"'')
        );
      computed = {
        _withoutFunctions = removeAttrs final (functionNames ++ [ "_withoutFunctions" ]);
        parsed = parse.mkSystemFromString (args.config or all.system);
        system = parse.doubleFromSystem final.parsed;
        config = parse.tripleFromSystem final.parsed;
        canExecute =
          other:
          final.isAndroid == other.isAndroid
          && final.parsed.kernel == other.parsed.kernel
          && parse.isCompatible cpu other.parsed.cpu
          && (
            cpu != other.parsed.cpu || !(other ? gcc.arch) || (final ? gcc.arch && architectures.canExecute final.gcc.arch other.gcc.arch)
          );
        useLLVM = final.isFreeBSD || final.isOpenBSD;
        useAndroidPrebuilt = false;
        useiOSPrebuilt = false;
        libc = libcOf final;
        linker = if final.useLLVM then "lld" else if final.isDarwin then "cctools" else "bfd";
        libDir = if !final.isLinux then null else if final.isx86_64 || final.isMips64 || final.isPower64 then "lib64" else "lib";
        isStatic = final.isWasi || final.isRedox;
        hasSharedLibraries =
          !final.isStatic
          && (final.isUnix && !final.isRedox || final.isAndroid || final.isGnu || final.isMusl || final.isWindows || final.isWasm);
        extensions =
          let
            windows = final.isWindows || final.isCygwin;
          in
          {
            executable = if windows then ".exe" else "";
            library = final.extensions.${if final.isStatic then "staticLibrary" else "sharedLibrary"};
            staticLibrary = if final.isWindows then ".lib" else ".a";
          }
          // lib.optionalAttrs final.hasSharedLibraries {
            sharedLibrary = if final.isDarwin then ".dylib" else if windows then ".dll" else ".so";
          };
        uname = {
          system = kernelSays "uname" final.parsed.kernel;
          processor = if final.isPower then final.qemuArch else if final.isMips64 then "mips64" else if final.isDarwin then final.darwinArch else cpu.name;
          release = null;
        };
        gcc = args.gcc or (gccOf final);
        rustc = args.rustc or { };
        rust = rustOf (args.rust or args.rustc or { }) final;
        efiArch = nameFor "efi" cpu.name cpu;
        linuxArch = nameFor "linux" cpu.name cpu;
        qemuArch = nameFor "qemu" cpu.name cpu;
        ubootArch = nameFor "uboot" cpu.name cpu;
        darwinArch = parse.darwinArch cpu;
        darwinMinVersionVariable = lib.mapNullable (x: x.variable + "_DEPLOYMENT_TARGET") (apple.${final.parsed.kernel.name} or null);
        darwinPlatform = (apple.${final.parsed.kernel.name} or { platform = null; }).platform;
        darwinMinVersion = "14.0";
        darwinSdkVersion = "14.4";
        androidSdkVersion = null;
        androidNdkVersion = null;
        go = {
          GOARCH = nameFor "go" null cpu;
          GOARM = lib.optionalString final.isAarch32 (cpu.version or "");
          GOOS = if final.parsed.kernel.name == "wasi" then "wasip1" else final.parsed.kernel.name;
        };
        node = {
          arch = nameFor "node" null cpu;
          platform = if final.isAndroid then "android" else kernelSays "node" final.parsed.kernel;
        };
        emulator = pkgs: let found = emulatorFor pkgs; in if found == null then throw "there is no emulator for ${final.config} here" else found;
        emulatorAvailable = pkgs: emulatorFor pkgs != null;
        staticEmulatorAvailable = pkgs: emulatorFor pkgs != null;
        nim = {
          cpu = nameFor "nim" cpu.name cpu;
          os = if final.uname.system == "Darwin" then "MacOSX" else final.uname.system;
        };
      };
      final =
        computed
        // predicates
        // builtins.mapAttrs (_: holds: holds (final.gcc.arch or "default")) architectures.predicates
        // args
        // {
          inherit (computed) rust gcc;
        };
    in
    assert given ? _withoutFunctions || lib.isAttrs given || builtins.isString given;
    final;
  systemToAttrs = x: if builtins.isAttrs x then x else { system = x; };

  every = cpus: kernel: map (cpu: "${cpu}-${kernel}") (lib.splitString " " cpus);
  doublesAll = lib.concatLists [
    (every "i686 x86_64" "cygwin")
    (every "x86_64 aarch64" "darwin")
    (every "i686 x86_64 aarch64" "freebsd")
    (every "aarch64 i686 x86_64" "genode")
    [
      "x86_64-solaris"
      "javascript-ghcjs"
    ]
    (every "aarch64 arc armv5tel armv6l armv7a armv7l i686 loongarch64 m68k sh4 microblaze microblazeel mips mips64 mips64el mipsel powerpc powerpc64 powerpc64le riscv32 riscv64 s390 s390x x86_64" "linux")
    [ "mmix-mmixware" ]
    (every "aarch64 armv6l armv7a armv7l i686 m68k mipsel powerpc riscv32 riscv64 x86_64" "netbsd")
    (every "aarch64_be aarch64 arm armv6l avr i686 microblaze microblazeel mips mips64 msp430 or1k m68k powerpc powerpcle riscv32 riscv64 rx s390 s390x vc4 x86_64" "none")
    (every "i686 x86_64" "openbsd")
    [ "x86_64-redox" ]
    (every "wasm64 wasm32" "wasi")
    (every "aarch64 x86_64 i686" "windows")
    (every "aarch64 x86_64" "uefi")
  ];
  # The systems of each kind, by the predicate that is said of them.
  doublesBy =
    let
      parsed = map (system: {
        inherit system;
        parts = parse.mkSystemFromString system;
      }) doublesAll;
      having = predicate: map (x: x.system) (builtins.filter (x: inspect.predicates.${predicate} x.parts) parsed);
    in
    builtins.mapAttrs (_: having) {
      aarch = "isAarch";
      aarch64 = "isAarch64";
      arc = "isArc";
      arm = "isAarch32";
      armv7 = "isArmv7";
      bigEndian = "isBigEndian";
      cygwin = "isCygwin";
      darwin = "isDarwin";
      embedded = "isNone";
      freebsd = "isFreeBSD";
      genode = "isGenode";
      gnu = "isGnu";
      i686 = "isi686";
      illumos = "isSunOS";
      js = "isJavaScript";
      linux = "isLinux";
      littleEndian = "isLittleEndian";
      loongarch64 = "isLoongArch64";
      m68k = "isM68k";
      microblaze = "isMicroBlaze";
      mips = "isMips";
      mmix = "isMmix";
      netbsd = "isNetBSD";
      openbsd = "isOpenBSD";
      or1k = "isOr1k";
      power = "isPower";
      redox = "isRedox";
      riscv = "isRiscV";
      riscv32 = "isRiscV32";
      riscv64 = "isRiscV64";
      rx = "isRx";
      s390 = "isS390";
      s390x = "isS390x";
      sh4 = "isSh4";
      uefi = "isUefi";
      unix = "isUnix";
      vc4 = "isVc4";
      wasi = "isWasi";
      windows = "isWindows";
      x86 = "isx86";
      x86_64 = "isx86_64";
    };
in
{
  inherit
    architectures
    elaborate
    functionNames
    inspect
    parse
    systemToAttrs
    ;
  doubles = doublesBy // {
    all = doublesAll;
    none = [ ];
  };
  platforms.select = platform: lib.optionalAttrs (platform.gcc or { } != { }) { inherit (platform) gcc; };
  equals = a: b: (a._withoutFunctions or a) == (b._withoutFunctions or b);
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
  examples =
    let
      plain = builtins.mapAttrs (_: config: { inherit config; }) {
        aarch64-multiplatform = "aarch64-unknown-linux-gnu";
        aarch64-multiplatform-musl = "aarch64-unknown-linux-musl";
        armv5tel-multiplatform = "armv5tel-unknown-linux-gnueabi";
        armv7l-hf-multiplatform = "armv7l-unknown-linux-gnueabihf";
        gnu32 = "i686-unknown-linux-gnu";
        gnu64 = "x86_64-unknown-linux-gnu";
        musl32 = "i686-unknown-linux-musl";
        musl64 = "x86_64-unknown-linux-musl";
        musl-power = "powerpc64le-unknown-linux-musl";
        powernv = "powerpc64le-unknown-linux-gnu";
        m68k = "m68k-unknown-linux-gnu";
        riscv32 = "riscv32-unknown-linux-gnu";
        riscv64 = "riscv64-unknown-linux-gnu";
        riscv64-musl = "riscv64-unknown-linux-musl";
        s390 = "s390-unknown-linux-gnu";
        s390x = "s390x-unknown-linux-gnu";
        sh4 = "sh4-unknown-linux-gnu";
        arc = "arc-unknown-linux-gnu";
        avr = "avr";
        ghcjs = "javascript-unknown-ghcjs";
        x86_64-netbsd = "x86_64-unknown-netbsd";
        x86_64-cygwin = "x86_64-pc-cygwin";
      };
      embedded = builtins.mapAttrs (_: config: { inherit config; libc = "newlib"; }) {
        aarch64-embedded = "aarch64-none-elf";
        arm-embedded = "arm-none-eabi";
        i686-embedded = "i686-elf";
        msp430 = "msp430-elf";
        or1k = "or1k-elf";
        riscv32-embedded = "riscv32-none-elf";
        riscv64-embedded = "riscv64-none-elf";
        x86_64-embedded = "x86_64-elf";
      };
    in
    plain
    // embedded
    // {
      raspberryPi = {
        config = "armv6l-unknown-linux-gnueabihf";
        gcc = gccOf (elaborate "armv6l-linux");
      };
      mingw32 = {
        config = "i686-w64-mingw32";
        libc = "msvcrt";
      };
      mingwW64 = {
        config = "x86_64-w64-mingw32";
        libc = "msvcrt";
      };
      ucrt64 = {
        config = "x86_64-w64-mingw32";
        libc = "ucrt";
      };
      wasi32 = {
        config = "wasm32-unknown-wasi";
        useLLVM = true;
      };
      x86_64-darwin.config = "x86_64-apple-darwin";
      aarch64-darwin.config = "arm64-apple-darwin";
      x86_64-freebsd = {
        config = "x86_64-unknown-freebsd";
        useLLVM = true;
      };
    };
}
