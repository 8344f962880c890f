# Merges the folders listed in $chosenPath ("PATH:PRIORITY" a line) by links; a lower number wins, equal ones collide.
declare -A owner=() rank=()
declare -i collisions=0

wantedPath() {
  local relative=$1 wanted
  for wanted in $pathsToLink; do
    wanted=${wanted%/}
    if [[ -z "$wanted" || "$relative" == "$wanted" || "$relative" == "$wanted"/* ]]; then return 0; fi
  done
  return 1
}
leadsToWanted() {
  local relative=$1 wanted
  for wanted in $pathsToLink; do if [[ "$wanted" == "$relative"/* || "$wanted" == / ]]; then return 0; fi; done
  return 1
}

sameContents() {
  [[ -n "${checkCollisionContents:-}" && -f "$1" && -f "$2" ]] || return 1
  [[ "$(stat -L -c %a "$1")" == "$(stat -L -c %a "$2")" ]] && cmp -s "$1" "$2"
}

mergeFolder() {
  local source=$1 relative=$2 priority=$3 name entry path target
  for entry in "$source"/* "$source"/.[!.]*; do
    [[ -e "$entry" || -L "$entry" ]] || continue
    name=${entry##*/}
    path=$relative/$name
    case "$path" in
      /propagated-build-inputs | /nix-support | /nix-support/* | /log | /manifest.nix | /manifest.json) continue ;;
    esac
    if [[ -d "$entry" ]]; then
      if ! wantedPath "$path" && ! leadsToWanted "$path"; then continue; fi
      target=$out$extraPrefix$path
      if [[ -L "$target" && -d "$target" ]]; then
        # A link to one package's folder becomes a folder of links when a second one brings the same.
        local first=${owner[$path]} firstRank=${rank[$path]}
        rm "$target"
        mkdir -p "$target"
        mergeFolder "$first" "$path" "$firstRank"
        mergeFolder "$entry" "$path" "$priority"
      elif [[ -d "$target" ]]; then
        mergeFolder "$entry" "$path" "$priority"
      elif [[ -n "${linkFolders-1}" ]] && wantedPath "$path" && [[ ! -e "$target" ]]; then
        mkdir -p "$(dirname "$target")"
        ln -s "$entry" "$target"
        owner[$path]=$entry rank[$path]=$priority
      else
        mkdir -p "$target"
        mergeFolder "$entry" "$path" "$priority"
      fi
      continue
    fi
    wantedPath "$path" || continue
    target=$out$extraPrefix$path
    if [[ -L "$target" || -e "$target" ]]; then
      if [[ "$(readlink -f "$target")" == "$(readlink -f "$entry")" ]]; then continue; fi
      if ((${rank[$path]:-5} < priority)); then continue; fi
      if ((${rank[$path]:-5} == priority)); then
        if sameContents "$target" "$entry"; then continue; fi
        if [[ -n "${ignoreCollisions:-}" ]]; then
          echo "pkgs.buildEnv warning: colliding subpath (ignored): \`$entry' and \`$(readlink "$target")'" >&2
          continue
        fi
        echo "pkgs.buildEnv error: two given paths contain a conflicting subpath:" >&2
        echo "  \`$entry' and" >&2
        echo "  \`$(readlink "$target")'" >&2
        echo "hint: this may be caused by two different versions of the same package in buildEnv's \`paths\` parameter" >&2
        echo "hint: \`pkgs.nix-diff\` can be used to compare derivations" >&2
        exit 25
      fi
      rm "$target"
    fi
    mkdir -p "$(dirname "$target")"
    ln -s "$entry" "$target"
    owner[$path]=$entry rank[$path]=$priority
  done
}

mkdir -p "$out$extraPrefix"
if [[ ! -e "${chosenPath:-}" ]]; then
  chosenPath=$NIX_BUILD_TOP/.chosen
  printf '%s' "$chosen" >"$chosenPath"
fi
while IFS=: read -r path_ priority_ || [[ -n "$path_" ]]; do
  [[ -n "$path_" ]] || continue
  if [[ ! -d "$path_" && -n "${linkFolders+set}" && -z "${failOnMissing:-}" ]]; then continue; fi
  if [[ ! -d "$path_" ]]; then
    echo "pkgs.buildEnv error: The store path $path_ is a file and can't be merged into an environment using pkgs.buildEnv!" >&2
    exit 1
  fi
  mergeFolder "$path_" "" "$priority_"
done <"$chosenPath"
if [[ -n "${manifest:-}" ]]; then ln -s "$manifest" "$out/manifest"; fi
