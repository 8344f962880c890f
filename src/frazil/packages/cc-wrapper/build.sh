# Writes the wrapper scripts of a compiler and a linker.
export PATH=$coreutils/bin:$sed/bin
mkdir -p "$out/bin" "$out/nix-support"
script() {
  local source=$1 name=$2 program=$3 isCxx=${4:-0}
  sed -e "s|@shell@|$shell|g" -e "s|@program@|$program|g" -e "s|@isCxx@|$isCxx|g" -e "s|@out@|$out|g" \
    -e "s|@gcc@|$gcc|g" -e "s|@binutils@|$binutils|g" -e "s|@glibc@|$glibc|g" -e "s|@loader@|$loader|g" \
    -e "s|@readlink@|$coreutils/bin/readlink|g" "$source" >"$out/bin/$name"
  chmod +x "$out/bin/$name"
}
for tool in "$binutils"/bin/*; do
  name=${tool##*/}
  case "$name" in
    ld | ld.bfd | ld.gold | "$triplet"-ld | "$triplet"-ld.*) ;;
    *) ln -s "$tool" "$out/bin/$name" ;;
  esac
done
for linker in ld ld.bfd ld.gold; do
  if [[ -x "$binutils/bin/$linker" ]]; then script "$ldScript" "$linker" "$binutils/bin/$linker"; fi
done
for compiler in gcc cpp; do script "$ccScript" "$compiler" "$gcc/bin/$compiler" 0; done
script "$ccScript" g++ "$gcc/bin/g++" 1
ln -s gcc "$out/bin/cc"
ln -s g++ "$out/bin/c++"
for name in gcc g++ cpp ld; do ln -s "$name" "$out/bin/$triplet-$name.tmp" && mv -f "$out/bin/$triplet-$name.tmp" "$out/bin/$triplet-$name"; done
for name in gcov gcc-ar gcc-nm gcc-ranlib; do
  if [[ -e "$gcc/bin/$name" && ! -e "$out/bin/$name" ]]; then ln -s "$gcc/bin/$name" "$out/bin/$name"; fi
done
sed -e "s|@out@|$out|g" -e "s|@binutils@|$binutils|g" -e "s|@triplet@|$triplet|g" "$setupHook" >"$out/nix-support/setup-hook"
printf '%s\n' "$gcc" >"$out/nix-support/orig-cc"
printf '%s\n' "$glibc" >"$out/nix-support/orig-libc"
printf '%s\n' "$loader" >"$out/nix-support/dynamic-linker"
