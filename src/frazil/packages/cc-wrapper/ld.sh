#! @shell@
# Runs the linker; folders of the store that provide a shared library go into the RUNPATH, the loader into the header.
set -eu -o pipefail +o posix
program=@program@
loader=@loader@
libc=@glibc@/lib
gcc=@gcc@
declare -a folders=() libraries=() files=() extra=() shared=()
static=0 relocatable=0
previous=
# shellcheck disable=SC2206
arguments=("$@" ${NIX_LDFLAGS:-})
for argument in "${arguments[@]}"; do
  case "$previous" in
    -L | --library-path) folders+=("$argument") ;;
    -l | --library) libraries+=("$argument") ;;
    *)
      case "$argument" in
        -L?*) folders+=("${argument:2}") ;;
        --library-path=*) folders+=("${argument#*=}") ;;
        -l?*) libraries+=("${argument:2}") ;;
        -static | --static) static=1 ;;
        -r | -Ur | --relocatable) relocatable=1 ;;
        /*.so | /*.so.*) files+=("$argument") ;;
      esac
      ;;
  esac
  previous=$argument
done
declare -A seen=()
addFolder() {
  local folder=$1
  [[ "$folder" == /nix/store/* && "$folder" != "$gcc"/* && -z "${seen[$folder]:-}" ]] || return 0
  seen[$folder]=1
  extra+=(-rpath "$folder")
}
addFile() {
  local real=$1
  shared+=("$real")
  if [[ -L "$real" || "$real" == *..* ]]; then real=$(@readlink@ -f -- "$real") || return 0; fi
  addFolder "${real%/*}"
}
# The linker does not follow a library's RUNPATH out of its sysroot, so it is told where the libraries of libraries are.
addIndirect() {
  local line folder name files=("$@") next runpath needed
  declare -A known=()
  while ((${#files[@]})); do
    runpath=() needed=() next=()
    while IFS= read -r line; do
      case "$line" in
        *'(RUNPATH)'* | *'(RPATH)'*)
          line=${line##*[}
          IFS=: read -r -a runpath <<<"${line%]*}"
          for folder in "${runpath[@]}"; do
            [[ "$folder" == /nix/store/* && "$folder" != "$libc" && -z "${known[$folder]:-}" ]] || continue
            known[$folder]=1
            extra+=(-rpath-link "$folder")
          done
          ;;
        *'(NEEDED)'*)
          line=${line##*[}
          needed+=("${line%]*}")
          ;;
      esac
    done < <(@binutils@/bin/readelf -W -d "${files[@]}" 2>/dev/null || true)
    for name in "${needed[@]}"; do
      [[ -z "${known[=$name]:-}" ]] || continue
      known[=$name]=1
      for folder in "${!known[@]}"; do if [[ "$folder" == /* && -f "$folder/$name" ]]; then next+=("$folder/$name"); fi; done
    done
    files=("${next[@]}")
  done
}
if ((!static && !relocatable)); then
  for library in "${libraries[@]}"; do
    for folder in "${folders[@]}"; do
      if [[ "$library" == :* ]]; then candidate="$folder/${library:1}"; else candidate="$folder/lib$library.so"; fi
      if [[ -e "$candidate" ]]; then
        addFile "$candidate"
        break
      fi
    done
  done
  for file in "${files[@]}"; do if [[ -e "$file" && "$file" == *.so* ]]; then addFile "$file"; fi; done
  if ((${#shared[@]})); then addIndirect "${shared[@]}"; fi
  extra+=(-rpath "$libc")
  # Not for libraries: they have no interpreter, and the linker would not add one unasked.
  extra+=(-dynamic-linker "$loader")
fi
exec "$program" "${arguments[@]}" "${extra[@]}"
