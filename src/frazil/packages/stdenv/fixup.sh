# What happens to each output after installation: outputs split, stale interpreters replaced, symbols stripped, RUNPATHs
# shrunk to what is used, manual pages compressed.

moveToOutput() {
  local pattern=$1 destination=$2 output source target
  for output in $(getAllOutputNames); do
    [[ -n "${!output:-}" && "${!output}" != "$destination" ]] || continue
    # shellcheck disable=SC2231
    for source in "${!output}"/$pattern; do
      [[ -e "$source" || -L "$source" ]] || continue
      if [[ "$destination" == REMOVE ]]; then
        rm -r "$source"
        continue
      fi
      target="$destination${source#"${!output}"}"
      echo "Moving $source to $target"
      mkdir -p "$(dirname "$target")"
      if [[ -d "$target" && -d "$source" ]]; then
        cp -a "$source/." "$target/"
        rm -r "$source"
      else
        mv "$source" "$target"
      fi
      rmdir --ignore-fail-on-non-empty -p "$(dirname "$source")" 2>/dev/null || true
    done
  done
}

_splitOutputs() {
  local names
  names=" $(getAllOutputNames)"
  if [[ "$names" == *" dev "* ]]; then
    local path
    for path in include lib/pkgconfig share/pkgconfig lib/cmake share/aclocal 'lib/*.la'; do moveToOutput "$path" "${!outputDev}"; done
  fi
  if [[ "$names" == *" bin "* ]]; then
    moveToOutput bin "$bin"
    moveToOutput sbin "$bin"
  fi
  if [[ "$names" == *" lib "* ]]; then moveToOutput lib "$lib"; fi
  if [[ "$names" == *" man "* ]]; then moveToOutput share/man "$man"; fi
  if [[ "$names" == *" info "* ]]; then moveToOutput share/info "$info"; fi
  if [[ "$names" == *" doc "* ]]; then moveToOutput share/doc "$doc"; fi
}
preFixupHooks+=(_splitOutputs)

# patchShebangs [--build | --host] PATH…: interpreters of scripts are looked up in PATH (for --host, the default here, in
# the PATH of the host's inputs first).
patchShebangs() {
  local search=${HOST_PATH:-}${HOST_PATH:+:}$PATH file line words interpreter name found rest stamp
  if [[ "${1:-}" == --build ]]; then
    search=$PATH
    shift
  elif [[ "${1:-}" == --host ]]; then
    shift
  fi
  if [[ "${1:-}" == --update ]]; then shift; fi
  echo "setting the interpreters of scripts, below $*"
  while IFS= read -r -d '' file; do
    isScript "$file" || continue
    IFS= read -r line <"$file" || [[ -n "$line" ]] || continue
    line=${line#'#!'}
    read -r -a words <<<"$line"
    ((${#words[@]})) || continue
    interpreter=${words[0]}
    [[ "$interpreter" == "$NIX_STORE"/* ]] && continue
    rest=("${words[@]:1}")
    if [[ "$interpreter" == */bin/env ]]; then
      if [[ "${rest[0]:-}" == -S ]]; then rest=("${rest[@]:1}"); fi
      if [[ -z "${rest[0]:-}" || "${rest[0]}" == -* || "${rest[0]}" == *=* ]]; then
        echo "$file: the first line, #!$line, gives env options or variables; set dontPatchShebangs and change it by hand" >&2
        exit 1
      fi
      name=${rest[0]}
      rest=("${rest[@]:1}")
    else
      name=${interpreter##*/}
    fi
    found=$(PATH=$search type -P "$name" || true)
    if [[ -z "$found" || "$found" != "$NIX_STORE"/* ]]; then continue; fi
    echo "$file: #!$line is now #!$found${rest[*]:+ ${rest[*]}}"
    stamp=$(stat --printf '%y' "$file")
    sed -i -e "1 s|.*|#\!${found//|/\\|}${rest[*]:+ ${rest[*]//|/\\|}}|" "$file"
    touch --date "$stamp" "$file"
  done < <(find "$@" -perm -u=x -type f -print0)
}

_patchShebangsOutput() {
  if [[ -z "${dontPatchShebangs:-}" && -e "$prefix" ]]; then patchShebangs --host "$prefix"; fi
}

stripDirs() {
  local command=$1 flags=$2 file paths=()
  shift 2
  local dir
  for dir in "$@"; do if [[ -e "$prefix/$dir" ]]; then paths+=("$prefix/$dir"); fi; done
  ((${#paths[@]})) || return 0
  echo "$command $flags: below ${paths[*]}"
  while IFS= read -r -d '' file; do
    # shellcheck disable=SC2086
    if isELF "$file" || [[ "$file" == *.a ]]; then $command $flags "$file" 2>/dev/null || true; fi
  done < <(find "${paths[@]}" -type f ${stripExclude:+! -name "$stripExclude"} -print0)
}

_stripOutput() {
  [[ -z "${dontStrip:-}" && -d "$prefix" ]] || return 0
  type -P "${STRIP:-strip}" >/dev/null || return 0
  local debug=() all=()
  concatTo debug stripDebugList="lib"
  if [[ -z "${stripDebugList[*]:-}" ]]; then debug=(lib lib32 lib64 libexec bin sbin); fi
  concatTo all stripAllList
  stripDirs "${STRIP:-strip}" "${stripDebugFlags:--S -p}" "${debug[@]}"
  if ((${#all[@]})); then stripDirs "${STRIP:-strip}" "${stripAllFlags:--s -p}" "${all[@]}"; fi
}

_shrinkRunpath() {
  [[ -z "${dontPatchELF:-}" && -d "$prefix" ]] || return 0
  type -P patchelf >/dev/null || return 0
  local file path
  echo "leaving in RPATHs only what is needed, below $prefix"
  while IFS= read -r -d '' file; do
    isELF "$file" || continue
    path=$(patchelf --print-rpath "$file" 2>/dev/null) || continue
    if [[ -n "$path" ]]; then patchelf --shrink-rpath "$file"; fi
  done < <(find "$prefix" -type f -print0)
  _forbidBuildFolder
}

# A program that looks for libraries in the folder of its build finds none later.
_forbidBuildFolder() {
  local file path
  while IFS= read -r -d '' file; do
    isELF "$file" || continue
    path=$(patchelf --print-rpath "$file" 2>/dev/null) || continue
    if [[ ":$path" == *":${NIX_BUILD_TOP:-/nowhere}"* ]]; then
      echo "RPATH of binary $file contains a forbidden reference to ${NIX_BUILD_TOP}/" >&2
      exit 1
    fi
  done < <(find "$prefix" -type f -print0)
}

_compressManPages() {
  [[ -z "${dontGzipMan:-}" && -d "$prefix/share/man" ]] || return 0
  echo "gzipping man pages under $prefix/share/man/"
  local file link target
  while IFS= read -r -d '' file; do gzip -n -f -9 "$file"; done < <(find "$prefix/share/man" -type f ! -name '*.gz' ! -name '*.bz2' ! -name '*.xz' -print0)
  while IFS= read -r -d '' link; do
    target=$(readlink "$link")
    if [[ ! -e "$link" && -e "$(dirname "$link")/$target.gz" ]]; then
      rm "$link"
      ln -s "$target.gz" "$link.gz"
    fi
  done < <(find "$prefix/share/man" -type l -print0)
}

_moveSbin() {
  if [[ -z "${dontMoveSbin:-}" && -d "$prefix/sbin" && ! -L "$prefix/sbin" ]]; then
    mkdir -p "$prefix/bin"
    mv "$prefix"/sbin/* "$prefix/bin/" 2>/dev/null || true
    rmdir "$prefix/sbin" && ln -s bin "$prefix/sbin"
  fi
}

_moveLib64() {
  if [[ -z "${dontMoveLib64:-}" && -d "$prefix/lib64" && ! -L "$prefix/lib64" ]]; then
    mkdir -p "$prefix/lib"
    cp -a "$prefix/lib64/." "$prefix/lib/"
    rm -r "$prefix/lib64"
    ln -s lib "$prefix/lib64"
  fi
}
fixupOutputHooks+=(_moveSbin _moveLib64 _compressManPages _stripOutput _shrinkRunpath _patchShebangsOutput)
