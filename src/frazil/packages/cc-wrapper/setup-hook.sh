# Headers and libraries of inputs, and the names of the tools.
ccWrapper_addFlags() {
  if [[ -d "$1/include" ]]; then
    export NIX_CFLAGS_COMPILE="${NIX_CFLAGS_COMPILE:-}${NIX_CFLAGS_COMPILE:+ }-isystem $1/include"
    if [[ -d "$1/include/@triplet@" ]]; then NIX_CFLAGS_COMPILE+=" -isystem $1/include/@triplet@"; fi
  fi
  if [[ -d "$1/lib" && "$1" != "@out@" ]]; then
    local files=("$1"/lib/lib*)
    if [[ -e "${files[0]:-}" ]]; then export NIX_LDFLAGS="${NIX_LDFLAGS:-}${NIX_LDFLAGS:+ }-L$1/lib"; fi
  fi
}
addEnvHooks 0 ccWrapper_addFlags
export CC=gcc CXX=g++ AR=ar AS=as LD=ld NM=nm OBJCOPY=objcopy OBJDUMP=objdump RANLIB=ranlib READELF=readelf SIZE=size STRINGS=strings STRIP=strip
export NIX_CC=@out@ NIX_BINTOOLS=@binutils@
if [[ -n "${out:-}" && -z "${NIX_DONT_SET_RPATH:-}" && -n "${NIX_BUILD_TOP:-}" && -z "${IN_NIX_SHELL:-}" ]]; then
  export NIX_LDFLAGS="${NIX_LDFLAGS:-}${NIX_LDFLAGS:+ }-rpath ${lib:-$out}/lib"
fi
