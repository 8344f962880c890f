# Values of GCC's -march: what they can do, and which others' programs they run.
{ lib }:
let
  v2 = [ "sse3" "ssse3" "sse4_1" "sse4_2" ];
  amd = v2 ++ [ "sse4a" ];
  v3 = [ "avx" "avx2" "fma" ];
  skylake = v2 ++ [ "aes" ] ++ v3;
  server = v2 ++ [ "aes" "avx" "avx2" "avx512" "fma" ];
  la11 = [ "div32" "frecipe" "lam-bh" "lamcas" "ld-seq-sa" ];
  same = features: names: lib.genAttrs names (_: features);
  features =
    same [ ] [ "default" "x86-64" "armv5te" "armv6" "armv7-a" "armv8-a" "mips32" "loongson2f" ]
    // same v2 [ "x86-64-v2" "nehalem" "westmere" "silvermont" "btver1" ]
    // same (v2 ++ [ "avx" ]) [ "sandybridge" "ivybridge" ]
    // same (v2 ++ v3) [ "x86-64-v3" "haswell" "broadwell" ]
    // same skylake [ "skylake" "alderlake" "sierraforest" ]
    // same server [
      "skylake-avx512" "cannonlake" "icelake-client" "icelake-server" "cascadelake" "cooperlake" "tigerlake" "rocketlake"
      "sapphirerapids" "emeraldrapids"
    ]
    // same (amd ++ [ "aes" "avx" "fma" "fma4" ]) [ "bdver1" "bdver2" "bdver3" ]
    // same (amd ++ [ "aes" ] ++ v3) [ "znver1" "znver2" "znver3" ]
    // same (amd ++ [ "aes" "avx" "avx2" "avx512" "fma" ]) [ "znver4" "znver5" ]
    // {
      x86-64-v4 = v2 ++ [ "avx" "avx2" "avx512" "fma" ];
      btver2 = v2 ++ [ "aes" "avx" ];
      bdver4 = amd ++ [ "aes" ] ++ v3 ++ [ "fma4" ];
      loongarch64 = [ "fpu64" ];
      "la64v1.0" = [ "fpu64" "lsx" ];
      "la64v1.1" = [ "fpu64" "lsx" ] ++ la11;
      la464 = [ "fpu64" "lsx" "lasx" ];
      la664 = [ "fpu64" "lsx" "lasx" ] ++ la11;
    };
  # The next lower ones; theirs follow from them.
  below = {
    x86-64-v2 = [ "x86-64" ];
    x86-64-v3 = [ "x86-64-v2" ];
    x86-64-v4 = [ "x86-64-v3" ];
    nehalem = [ "x86-64-v2" ];
    westmere = [ "nehalem" ];
    sandybridge = [ "westmere" ];
    ivybridge = [ "sandybridge" ];
    haswell = [ "ivybridge" "x86-64-v3" ];
    broadwell = [ "haswell" ];
    skylake = [ "broadwell" ];
    skylake-avx512 = [ "skylake" "x86-64-v4" ];
    cannonlake = [ "skylake-avx512" ];
    icelake-client = [ "cannonlake" ];
    icelake-server = [ "icelake-client" ];
    cascadelake = [ "cannonlake" ];
    cooperlake = [ "cascadelake" ];
    tigerlake = [ "icelake-server" ];
    rocketlake = [ "x86-64-v4" ];
    sapphirerapids = [ "tigerlake" ];
    emeraldrapids = [ "sapphirerapids" ];
    alderlake = [ "skylake" ];
    sierraforest = [ "alderlake" ];
    silvermont = [ "x86-64-v2" ];
    btver1 = [ "x86-64" ];
    btver2 = [ "x86-64-v2" ];
    bdver1 = [ "x86-64-v2" ];
    bdver2 = [ "x86-64-v2" ];
    bdver3 = [ "x86-64-v2" ];
    bdver4 = [ "x86-64-v3" ];
    znver1 = [ "skylake" ];
    znver2 = [ "znver1" ];
    znver3 = [ "znver2" ];
    znver4 = [ "znver3" "x86-64-v4" ];
    znver5 = [ "znver4" ];
    "la64v1.0" = [ "loongarch64" ];
    "la64v1.1" = [ "la64v1.0" ];
    la464 = [ "la64v1.0" ];
    la664 = [ "la464" "la64v1.1" ];
    cortex-a53 = [ "armv8-a" ];
    cortex-a72 = [ "armv8-a" ];
    cortex-a55 = [ "armv8.2-a" "cortex-a53" "cortex-a72" ];
    cortex-a76 = [ "armv8.2-a" "cortex-a53" "cortex-a72" ];
    ampere1 = [ "armv8.6-a" "cortex-a55" "cortex-a76" ];
    ampere1a = [ "ampere1" ];
    ampere1b = [ "ampere1a" ];
    "armv8.1-a" = [ "armv8-a" ];
    armv9-a = [ "armv8.5-a" ];
    "armv9.1-a" = [ "armv9-a" "armv8.6-a" ];
  }
  // lib.genAttrs' (lib.range 2 9) (n: lib.nameValuePair "armv8.${toString n}-a" [ "armv8.${toString (n - 1)}-a" ])
  // lib.genAttrs' (lib.range 2 4) (
    n:
    lib.nameValuePair "armv9.${toString n}-a" (
      [ "armv9.${toString (n - 1)}-a" ] ++ lib.optional (n < 4) "armv8.${toString (n + 5)}-a"
    )
  );
  inferiors = lib.genAttrs (lib.unique (builtins.attrNames features ++ builtins.attrNames below)) (
    name:
    map (x: x.key) (
      builtins.genericClosure {
        startSet = map (key: { inherit key; }) (below.${name} or [ ]);
        operator = { key }: map (key: { inherit key; }) (below.${key} or [ ]);
      }
    )
  );
  has = feature: arch: builtins.elem feature (features.${arch} or [ ]);
in
{
  inherit features inferiors;
  canExecute = arch: other: arch == other || builtins.elem other (inferiors.${arch} or [ ]);
  predicates = {
    aesSupport = has "aes";
    avxSupport = has "avx";
    avx2Support = has "avx2";
    avx512Support = has "avx512";
    fmaSupport = has "fma";
    fma4Support = has "fma4";
    lsxSupport = has "lsx";
    lasxSupport = has "lasx";
    sse3Support = has "sse3";
    ssse3Support = has "ssse3";
    sse4_1Support = has "sse4_1";
    sse4_2Support = has "sse4_2";
    sse4_aSupport = has "sse4a";
  };
}
