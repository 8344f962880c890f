#! @shell@
# Runs the compiler with this prefix for headers, libraries and tools, and the flags that inputs asked for.
set -eu -o pipefail +o posix
if ((${NIX_DEBUG:-0} >= 7)); then set -x; fi
program=@program@
isCxx=@isCxx@
link=1 nostdinc=0 nostdlib=0 preprocess=0 shared=0
for argument in "$@"; do
  case "$argument" in
    -c | -S | -M | -MM | -fsyntax-only) link=0 ;;
    -E) link=0 preprocess=1 ;;
    -nostdinc) nostdinc=1 ;;
    -nostdlib | -nostartfiles | -nodefaultlibs) nostdlib=1 ;;
    -shared) shared=1 ;;
    -x*-header | *c++-header) link=0 ;;
  esac
done
# `cc -v`, `cc --version` and the like must not look like a link of nothing.
before=(-B@out@/bin/ -B@binutils@/bin/ --sysroot=@gcc@)
after=()
if ((!nostdinc)); then
  # shellcheck disable=SC2206
  after+=(${NIX_CFLAGS_COMPILE:-})
  # shellcheck disable=SC2206
  if ((isCxx)); then after+=(${NIX_CXXSTDLIB_COMPILE:-}); fi
fi
if ((link && !nostdlib)); then
  # shellcheck disable=SC2206
  after+=(${NIX_CFLAGS_LINK:-})
fi
exec -a "$program" "$program" "${before[@]}" "$@" "${after[@]}"
