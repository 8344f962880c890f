# The functions and phases of a generic build; sourced by builders and by development shells.
#
# In: the derivation's attributes as variables (or arrays, with structured attributes), $initialPath, $defaultInputs and
# $defaultBuildHooks from the first lines of the generated `setup`. Out: PATH and flags for the declared inputs, phase
# functions, and `genericBuild`, which runs them.

shopt -s inherit_errexit nullglob
if [[ -n "${NIX_ATTRS_SH_FILE:-}" && -e "${NIX_ATTRS_SH_FILE}" ]]; then
  # shellcheck disable=SC1090
  source "$NIX_ATTRS_SH_FILE"
elif [[ -e .attrs.sh ]]; then
  source .attrs.sh
fi

if ! declare -p outputs &>/dev/null; then outputs=out; fi
: "${NIX_BUILD_CORES:=1}"
if [[ "$NIX_BUILD_CORES" == 0 ]]; then NIX_BUILD_CORES=$(nproc 2>/dev/null || echo 1); fi
export NIX_BUILD_CORES
export NIX_STORE="${NIX_STORE:-/nix/store}"
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-315532800}"
export TZ="${TZ:-UTC}"

# --- Variables that are a string or an array -------------------------------------------------------------------------

# Prints nothing; sets the array named $1 to the words of the variables named after it.
concatTo() {
  local -n target_=$1
  shift
  local item_ name_ default_
  for item_ in "$@"; do
    name_=${item_%%=*}
    default_=
    [[ "$item_" == *=* ]] && default_=${item_#*=}
    if [[ "$(declare -p "$name_" 2>/dev/null)" == "declare -a"* ]]; then
      local -n array_=$name_
      target_+=("${array_[@]}")
      unset -n array_
    elif [[ -n "${!name_:-}" ]]; then
      if [[ "$name_" == *Array ]]; then target_+=("${!name_}"); else
        local words_
        IFS=$' \t\n' read -r -d '' -a words_ <<<"${!name_}" || true
        target_+=("${words_[@]}")
      fi
    elif [[ -n "$default_" ]]; then
      target_+=("$default_")
    fi
  done
}

concatStringsSep() {
  local separator=$1 values=() joined
  concatTo values "$2"
  printf -v joined "%s${separator}" "${values[@]}"
  printf '%s' "${joined%"$separator"}"
}

appendToVar() {
  local name=$1
  shift
  if [[ "$(declare -p "$name" 2>/dev/null)" == "declare -a"* || -n "${__structuredAttrs:-}" ]]; then
    local -n list=$name
    list=("${list[@]}" "$@")
  else
    printf -v "$name" '%s' "${!name:+${!name} }$*"
    export "${name?}"
  fi
}

prependToVar() {
  local name=$1
  shift
  if [[ "$(declare -p "$name" 2>/dev/null)" == "declare -a"* || -n "${__structuredAttrs:-}" ]]; then
    local -n list=$name
    list=("$@" "${list[@]}")
  else
    printf -v "$name" '%s' "$*${!name:+ ${!name}}"
    export "${name?}"
  fi
}

addToSearchPathWithCustomDelimiter() {
  local delimiter=$1 name=$2 dir=$3
  if [[ -d "$dir" && "$delimiter${!name:-}$delimiter" != *"$delimiter$dir$delimiter"* ]]; then
    export "${name}=${!name:+${!name}$delimiter}$dir"
  fi
}
addToSearchPath() { addToSearchPathWithCustomDelimiter ":" "$@"; }

getAllOutputNames() {
  if [[ "$(declare -p outputs 2>/dev/null)" == "declare -A"* ]]; then
    printf '%s ' "${!outputs[@]}"
  else
    local names=()
    concatTo names outputs
    printf '%s ' "${names[@]}"
  fi
}

if [[ "$(declare -p outputs 2>/dev/null)" == "declare -A"* ]]; then
  for output_ in "${!outputs[@]}"; do export "${output_}=${outputs[$output_]}"; done
  unset output_
fi

# --- Messages --------------------------------------------------------------------------------------------------------

_logJson() {
  # Nix shows the phase of a build from this line of its log descriptor.
  if [[ -n "${NIX_LOG_FD:-}" ]]; then echo "@nix { \"action\": \"setPhase\", \"phase\": \"$1\" }" >&"$NIX_LOG_FD"; fi
}
nixLog() { if [[ -n "${NIX_LOG_FD:-}" ]]; then echo "$*" >&"$NIX_LOG_FD"; fi; }
nixErrorLog() { echo "ERROR: $*" >&2; }
nixWarnLog() { echo "WARNING: $*" >&2; }
nixInfoLog() { if ((${NIX_DEBUG:-0} >= 3)); then nixLog "INFO: $*"; fi; }
nixDebugLog() { if ((${NIX_DEBUG:-0} >= 6)); then nixLog "DEBUG: $*"; fi; }
echoCmd() {
  printf '%s:' "$1"
  shift
  printf ' %q' "$@"
  echo
}
dumpVars() {
  if [[ "${noDumpEnvVars:-0}" != 1 && -n "${NIX_BUILD_TOP:-}" && -w "${NIX_BUILD_TOP}" ]]; then
    (umask 077 && export >"$NIX_BUILD_TOP/env-vars") 2>/dev/null || true
  fi
}

# --- Hooks -----------------------------------------------------------------------------------------------------------

_evalHook() {
  local hook=$1
  shift
  if declare -F "$hook" >/dev/null; then
    "$hook" "$@"
  elif type -p "$hook" >/dev/null; then
    "$hook" "$@"
  else
    eval "$hook"
  fi
}

# Runs what is registered in the array NAMEHooks, then the function or variable NAME.
runHook() {
  local name=$1
  shift
  local array="${name}Hooks" hooks=() hook
  if [[ "$(declare -p "$array" 2>/dev/null)" == "declare -a"* ]]; then
    local -n registered=$array
    hooks=("${registered[@]}")
    unset -n registered
  elif [[ -n "${!array:-}" ]]; then
    read -r -a hooks <<<"${!array}"
  fi
  for hook in "${hooks[@]}"; do _evalHook "$hook" "$@"; done
  if declare -F "$name" >/dev/null; then
    "$name" "$@"
  elif [[ -n "${!name:-}" ]]; then
    eval "${!name}"
  fi
}

# Runs hooks until one succeeds; fails if none does.
runOneHook() {
  local name=$1 hook
  shift
  local -n registered="${name}Hooks"
  for hook in "${registered[@]}"; do
    if _evalHook "$hook" "$@"; then return 0; fi
  done
  return 1
}

# The usual phases, among them those that a package adds before one of them.
definePhases() {
  [[ -z "${phases[*]:-}" ]] || return 0
  local step all=()
  concatTo all prePhases
  for step in unpack patch configure build check install fixup installCheck dist; do
    case "$step" in configure | build | install | fixup | dist) concatTo all "pre${step^}Phases" ;; esac
    all+=("${step}Phase")
  done
  concatTo all postPhases
  phases="${all[*]}"
}

exitHandler() {
  local status=$?
  set +e
  if [[ -n "${failureHook:-}" && $status != 0 ]]; then runHook failureHook; fi
  if [[ $status == 0 ]]; then runHook exitHook; fi
  return "$status"
}

# --- Inputs ----------------------------------------------------------------------------------------------------------

declare -a envBuildHooks_=() envHostHooks_=() allNativeInputs=() allHostInputs=()
declare -A seenInput_=()

# addEnvHooks OFFSET HOOK…: hooks that see each input; offset -1 is the build platform, 0 the host's.
addEnvHooks() {
  local offset=$1
  shift
  if ((offset < 0)); then envBuildHooks_+=("$@"); else envHostHooks_+=("$@"); fi
}

_findInput() {
  local pkg=$1 role=$2 file word
  [[ -n "$pkg" && -z "${seenInput_[$role:$pkg]:-}" ]] || return 0
  seenInput_[$role:$pkg]=1
  if [[ ! -e "$pkg" ]]; then
    echo "stdenv: the $role build input $pkg is not there" >&2
    exit 1
  fi
  if [[ $role == native ]]; then allNativeInputs+=("$pkg"); else allHostInputs+=("$pkg"); fi
  if [[ -f "$pkg/nix-support/propagated-build-inputs" ]]; then
    for word in $(<"$pkg/nix-support/propagated-build-inputs"); do _findInput "$word" "$role"; done
  fi
  if [[ $role == host && -f "$pkg/nix-support/propagated-native-build-inputs" ]]; then
    for word in $(<"$pkg/nix-support/propagated-native-build-inputs"); do _findInput "$word" native; done
  fi
}

_activateInput() {
  local pkg=$1 role=$2
  # Hooks ask which platform they serve by these names.
  local hostOffset=-1 targetOffset=0
  if [[ $role == host ]]; then
    hostOffset=0 targetOffset=1
  fi
  if [[ -f "$pkg" ]]; then
    # shellcheck disable=SC1090
    source "$pkg"
    return
  fi
  if [[ $role == native || -z "${strictDeps:-}" ]]; then
    addToSearchPath _PATH "$pkg/bin"
    addToSearchPath HOST_PATH "$pkg/bin"
  elif [[ $role == host ]]; then
    addToSearchPath HOST_PATH "$pkg/bin"
  fi
  if [[ -d "$pkg/share" ]]; then addToSearchPath XDG_DATA_DIRS_ "$pkg/share"; fi
  local own="$pkg/nix-support/setup-hook"
  # shellcheck disable=SC1090
  if [[ -f "$own" ]]; then source "$own"; fi
}

_PATH=
HOST_PATH=
XDG_DATA_DIRS_=
_collectInputs() {
  local native=() host=() pkg
  concatTo native defaultInputs extraNativeBuildInputs depsBuildBuild depsBuildBuildPropagated nativeBuildInputs \
    propagatedNativeBuildInputs depsBuildTarget depsBuildTargetPropagated
  concatTo host depsHostHost depsHostHostPropagated extraBuildInputs buildInputs propagatedBuildInputs depsTargetTarget \
    depsTargetTargetPropagated
  for pkg in "${native[@]}"; do _findInput "$pkg" native; done
  for pkg in "${host[@]}"; do _findInput "$pkg" host; done
  for pkg in "${allNativeInputs[@]}"; do _activateInput "$pkg" native; done
  for pkg in "${allHostInputs[@]}"; do _activateInput "$pkg" host; done
}

_runEnvHooks() {
  local pkg hook
  for pkg in "${allNativeInputs[@]}"; do
    for hook in "${envBuildHooks_[@]}"; do "$hook" "$pkg"; done
    if [[ -z "${strictDeps:-}" ]]; then for hook in "${envHostHooks_[@]}"; do "$hook" "$pkg"; done; fi
  done
  for pkg in "${allHostInputs[@]}"; do
    for hook in "${envHostHooks_[@]}"; do "$hook" "$pkg"; done
    if [[ -z "${strictDeps:-}" ]]; then for hook in "${envBuildHooks_[@]}"; do "$hook" "$pkg"; done; fi
  done
}

PATH=
for initial_ in $initialPath; do addToSearchPath PATH "$initial_/bin"; done
unset initial_
export PATH
initialSearchPath_=$PATH
# A home that goes with the build: what a program wrote to /homeless-shelter would, without a sandbox, stay on the machine.
if [[ "${HOME:-}" == /homeless-shelter && -n "${NIX_BUILD_TOP:-}" ]]; then
  export HOME=$NIX_BUILD_TOP/.home
  mkdir -p "$HOME"
fi
_collectInputs
_runEnvHooks
PATH="${_PATH}${_PATH:+:}${initialSearchPath_}"
export PATH HOST_PATH
# Data of inputs before what the caller has.
if [[ -n "$XDG_DATA_DIRS_" ]]; then
  if [[ -n "${XDG_DATA_DIRS:-}" ]]; then XDG_DATA_DIRS_+=:$XDG_DATA_DIRS; fi
  export XDG_DATA_DIRS=$XDG_DATA_DIRS_
fi
unset XDG_DATA_DIRS_

export SHELL CONFIG_SHELL
# Started by a bare name and without PATH, bash takes the password file's shell for itself.
if [[ "${BASH:-}" != /*/bash ]]; then BASH=$SHELL; fi
CONFIG_SHELL="${CONFIG_SHELL:-$SHELL}"
for hook_ in $defaultBuildHooks; do
  # shellcheck disable=SC1090
  source "$hook_"
done
unset hook_

# --- Substitution in texts -------------------------------------------------------------------------------------------

consumeEntire() {
  if IFS='' read -r -d '' "$1"; then
    echo "consumeEntire: the input has null bytes, which no shell variable can hold" >&2
    return 1
  fi
}

# substituteStream VARIABLE DESCRIPTION (--replace-fail | --replace-warn | --replace-quiet | --replace | --subst-var …)…
substituteStream() {
  local var=$1 description=$2 pattern replacement name mode
  shift 2
  while (($#)); do
    mode=$1
    case "$mode" in
      --replace | --replace-fail | --replace-warn | --replace-quiet)
        pattern=$2 replacement=$3
        shift 3
        if [[ "${!var}" != *"$pattern"* ]]; then
          if [[ "$mode" == --replace-fail ]]; then
            echo "substituteStream: $description does not contain $(printf '%q' "$pattern")" >&2
            return 1
          elif [[ "$mode" != --replace-quiet ]]; then
            echo "substituteStream: warning: $description does not contain $(printf '%q' "$pattern")" >&2
          fi
        fi
        printf -v "$var" '%s' "${!var//"$pattern"/"$replacement"}"
        ;;
      --subst-var)
        name=$2
        shift 2
        if [[ -z "${!name+set}" ]]; then
          echo "substituteStream: there is no variable $name to put in" >&2
          return 1
        fi
        pattern="@$name@"
        printf -v "$var" '%s' "${!var//"$pattern"/"${!name}"}"
        ;;
      --subst-var-by)
        pattern="@$2@" replacement=$3
        shift 3
        printf -v "$var" '%s' "${!var//"$pattern"/"$replacement"}"
        ;;
      *)
        echo "substituteStream: what is $1? Known are --replace…, --subst-var and --subst-var-by" >&2
        return 1
        ;;
    esac
  done
  printf '%s' "${!var}"
}

substitute() {
  local input=$1 output=$2 contents
  shift 2
  if [[ ! -f "$input" ]]; then
    echo "substitute: no such file: $input" >&2
    return 1
  fi
  consumeEntire contents <"$input" || return 1
  if [[ -e "$output" ]]; then chmod +w "$output"; fi
  local result
  result=$(
    substituteStream contents "file '$input'" "$@" || exit 1
    printf .
  ) || return 1
  printf '%s' "${result%.}" >"$output"
}

substituteInPlace() {
  local files=() file
  while (($#)) && [[ "$1" != -* ]]; do
    files+=("$1")
    shift
  done
  for file in "${files[@]}"; do substitute "$file" "$file" "$@" || return 1; done
}

_allSubstitutions() {
  local name
  while IFS='=' read -r -d '' name _; do
    if [[ "$name" =~ ^[a-z][A-Za-z0-9_]*$ ]]; then printf '%s\0%s\0' --subst-var "$name"; fi
  done < <(env -0)
}
substituteAll() {
  local args=() word
  while IFS= read -r -d '' word; do args+=("$word"); done < <(_allSubstitutions)
  substitute "$1" "$2" "${args[@]}"
}
substituteAllInPlace() { substituteAll "$1" "$1"; }

stripHash() {
  local base
  base=$(basename "$1")
  if [[ "$base" =~ ^[a-z0-9]{32}- ]]; then base=${base:33}; fi
  printf '%s\n' "$base"
}

isELF() {
  local magic
  IFS= LC_ALL=C read -r -n 4 magic <"$1" 2>/dev/null || true
  [[ "$magic" == $'\177ELF' ]]
}
isScript() {
  local magic
  IFS= LC_ALL=C read -r -n 2 magic <"$1" 2>/dev/null || true
  [[ "$magic" == '#!' ]]
}
printLines() { (($#)) && printf '%s\n' "$@"; }
printWords() { (($#)) && printf '%s ' "$@"; }

# --- Phases ----------------------------------------------------------------------------------------------------------

_defaultUnpack() {
  local file=$1 destination
  if [[ -d "$file" ]]; then
    destination=$(stripHash "$file")
    if [[ -e "$destination" ]]; then
      echo "$file is to be unpacked as $destination, which is there already;" >&2
      echo "give each of the sources a name of its own" >&2
      return 1
    fi
    cp -r --preserve=timestamps --reflink=auto -- "$file" "$destination"
  else
    case "$file" in
      *.tar.xz | *.tar.lzma | *.txz) (XZ_OPT="--threads=$NIX_BUILD_CORES" xz -d <"$file") | tar xf - --mode=+w --warning=no-timestamp ;;
      *.tar.zst | *.tzst) zstd -d <"$file" | tar xf - --mode=+w --warning=no-timestamp ;;
      *.tar | *.tar.* | *.tgz | *.tbz2 | *.tbz) tar xf "$file" --mode=+w --warning=no-timestamp ;;
      *.zip) unzip -qq "$file" ;;
      *) return 1 ;;
    esac
  fi
}
unpackCmdHooks+=(_defaultUnpack)

unpackFile() {
  curSrc=$1
  echo "unpacking source archive $curSrc"
  if [[ -n "${unpackCmd:-}" ]]; then
    eval "$unpackCmd"
  elif ! runOneHook unpackCmd "$curSrc"; then
    echo "no way is known to unpack $curSrc; set unpackCmd, or add a tool that brings its own" >&2
    exit 1
  fi
}

unpackPhase() {
  runHook preUnpack
  local sources=() before after name
  concatTo sources srcs
  if ((${#sources[@]} == 0)); then
    if [[ -z "${src:-}" ]]; then
      # shellcheck disable=SC2016
      echo 'nothing to unpack: neither $src nor $srcs is set' >&2
      exit 1
    fi
    sources=("$src")
  fi
  declare -A known=()
  for name in *; do if [[ -d "$name" ]]; then known[$name]=1; fi; done
  for name in "${sources[@]}"; do unpackFile "$name"; done
  : "${sourceRoot=}"
  if [[ -n "${setSourceRoot:-}" ]]; then
    runHook setSourceRoot
  elif [[ -z "$sourceRoot" ]]; then
    for name in *; do
      if [[ -d "$name" && -z "${known[$name]:-}" ]]; then
        if [[ -n "$sourceRoot" ]]; then
          echo "unpacking made several folders; set sourceRoot to the one to build in" >&2
          exit 1
        fi
        sourceRoot=$name
      fi
    done
  fi
  if [[ -z "$sourceRoot" ]]; then
    echo "unpacking made no folder; set sourceRoot to where the source is" >&2
    exit 1
  fi
  echo "source root is $sourceRoot"
  if [[ -z "${dontMakeSourcesWritable:-}" ]]; then chmod --recursive u+w -- "$sourceRoot"; fi
  runHook postUnpack
}

patchPhase() {
  runHook prePatch
  local all=() flags=() file command
  concatTo all patches
  concatTo flags patchFlags=-p1
  for file in "${all[@]}"; do
    echo "applying patch $file"
    case "$file" in
      *.gz) command="gzip -d" ;;
      *.bz2) command="bzip2 -d" ;;
      *.xz) command="xz -d" ;;
      *) command=cat ;;
    esac
    $command <"$file" | patch "${flags[@]}"
  done
  runHook postPatch
}

fixLibtool() {
  local script
  for script in "$@"; do
    sed -i -e 's^eval \(sys_lib_search_path=\).*^\1""^' -e 's^eval sys_lib_.*search_path=.*^^' "$script"
  done
}

configurePhase() {
  runHook preConfigure
  : "${configureScript=}"
  if [[ -z "$configureScript" && -x ./configure ]]; then configureScript=./configure; fi
  if [[ -n "$configureScript" ]]; then
    local flags=()
    if [[ -z "${dontAddPrefix:-}" && -n "${prefix:-}" ]]; then
      flags+=("${prefixKey:---prefix=}$prefix")
    fi
    if [[ -z "${dontAddDisableDepTrack:-}" ]] && grep -q dependency-tracking "$configureScript" 2>/dev/null; then
      flags+=(--disable-dependency-tracking)
    fi
    if [[ -z "${dontDisableStatic:-}" ]] && grep -q enable-static "$configureScript" 2>/dev/null; then
      flags+=(--disable-static)
    fi
    concatTo flags configureFlags configureFlagsArray
    echoCmd 'configure flags' "${flags[@]}"
    # shellcheck disable=SC2086
    $configureScript "${flags[@]}"
  else
    _nothingTo configure "there is no script ${configureScript:-configure}"
  fi
  runHook postConfigure
}

# _nothingTo PHASE [REASON]: says that a phase is empty.
_nothingTo() { echo "nothing to $1: ${2:-there is no makefile, and ${1}Phase is not set}"; }

_hasMakefile() { [[ -n "${makefile:-}" || -e Makefile || -e makefile || -e GNUmakefile ]]; }

buildPhase() {
  runHook preBuild
  if [[ -z "${makeFlags[*]:-}" ]] && ! _hasMakefile; then
    _nothingTo build
  else
    local flags=("${makefile:+-f$makefile}" SHELL="$SHELL")
    if [[ -z "${flags[0]}" ]]; then flags=("${flags[@]:1}"); fi
    if [[ -n "${enableParallelBuilding:-}" ]]; then flags+=("-j${NIX_BUILD_CORES}"); fi
    concatTo flags makeFlags makeFlagsArray buildFlags buildFlagsArray
    echoCmd 'build flags' "${flags[@]}"
    make "${flags[@]}"
  fi
  runHook postBuild
}

checkPhase() {
  runHook preCheck
  if ! _hasMakefile; then
    _nothingTo check
  else
    local target="${checkTarget:-}" candidate
    if [[ -z "$target" ]]; then
      for candidate in check test; do
        if make -n ${makefile:+-f "$makefile"} "$candidate" >/dev/null 2>&1; then
          target=$candidate
          break
        fi
      done
    fi
    if [[ -z "$target" ]]; then
      _nothingTo check "the makefile has neither a target check nor one called test"
    else
      local flags=(${makefile:+-f "$makefile"} SHELL="$SHELL")
      if [[ -n "${enableParallelChecking:-${enableParallelBuilding:-}}" ]]; then flags+=("-j${NIX_BUILD_CORES}"); fi
      concatTo flags makeFlags makeFlagsArray checkFlags=VERBOSE=y checkFlagsArray
      # shellcheck disable=SC2206
      flags+=($target)
      echoCmd 'check flags' "${flags[@]}"
      make "${flags[@]}"
    fi
  fi
  runHook postCheck
}

installPhase() {
  runHook preInstall
  if [[ -z "${makeFlags[*]:-}" ]] && ! _hasMakefile; then
    _nothingTo install
    runHook postInstall
    return
  fi
  if [[ -n "${prefix:-}" ]]; then mkdir -p "$prefix"; fi
  local flags=(${makefile:+-f "$makefile"} SHELL="$SHELL")
  if [[ -n "${enableParallelInstalling:-${enableParallelBuilding:-}}" ]]; then flags+=("-j${NIX_BUILD_CORES}"); fi
  concatTo flags makeFlags makeFlagsArray installFlags installFlagsArray installTargets=install
  echoCmd 'install flags' "${flags[@]}"
  make "${flags[@]}"
  runHook postInstall
}

fixupPhase() {
  local output
  for output in $(getAllOutputNames); do
    if [[ -e "${!output}" && ! -L "${!output}" ]]; then chmod -R u+w,u-s,g-s "${!output}"; fi
  done
  runHook preFixup
  for output in $(getAllOutputNames); do prefix="${!output}" runHook fixupOutput; done
  _recordPropagated
  runHook postFixup
}

# Adds to the array named last the outputs that the one for development brings with it.
_otherOutputs() {
  [[ -n "${outputDev:-}" && "$(getAllOutputNames)" == *" "*" " ]] || return 0
  local -n list_=$2
  local names_=() output_
  concatTo names_ propagatedBuildOutputs
  if ((${#names_[@]} == 0)); then names_=("$outputBin" "$outputInclude" "$outputLib"); fi
  for output_ in "${names_[@]}"; do
    if [[ "${!output_}" != "$1" && " ${list_[*]} " != *" ${!output_} "* ]]; then list_+=("${!output_}"); fi
  done
}

_recordPropagated() {
  local target="${!outputDev:-$out}" values=() name
  declare -A files=(
    [propagatedBuildInputs]=propagated-build-inputs
    [propagatedNativeBuildInputs]=propagated-native-build-inputs
  )
  for name in "${!files[@]}"; do
    values=()
    concatTo values "$name"
    # Who has the output for development among the inputs has the others too.
    if [[ "$name" == propagatedBuildInputs ]]; then _otherOutputs "$target" values; fi
    if ((${#values[@]})); then
      mkdir -p "$target/nix-support"
      printf '%s\n' "${values[*]}" >"$target/nix-support/${files[$name]}"
    fi
  done
  if [[ -n "${setupHook:-}" ]]; then
    mkdir -p "$target/nix-support"
    substituteAll "$setupHook" "$target/nix-support/setup-hook"
  fi
  values=()
  concatTo values setupHooks
  for name in "${values[@]}"; do
    mkdir -p "$target/nix-support"
    local content
    consumeEntire content <"$name" || return 1
    substituteAll "$name" "$NIX_BUILD_TOP/.setup-hook"
    cat "$NIX_BUILD_TOP/.setup-hook" >>"$target/nix-support/setup-hook"
  done
  values=()
  concatTo values propagatedUserEnvPkgs
  if ((${#values[@]})); then
    mkdir -p "${!outputBin:-$out}/nix-support"
    printf '%s\n' "${values[*]}" >"${!outputBin:-$out}/nix-support/propagated-user-env-packages"
  fi
}

installCheckPhase() {
  runHook preInstallCheck
  if ! _hasMakefile; then
    _nothingTo installCheck
  elif [[ -z "${installCheckTarget:-}" ]] && ! make -n ${makefile:+-f "$makefile"} installcheck >/dev/null 2>&1; then
    _nothingTo installCheck "the makefile has no target installcheck"
  else
    local flags=(${makefile:+-f "$makefile"} SHELL="$SHELL")
    concatTo flags makeFlags makeFlagsArray installCheckFlags installCheckFlagsArray installCheckTarget=installcheck
    make "${flags[@]}"
  fi
  runHook postInstallCheck
}

distPhase() {
  runHook preDist
  local flags=() tarballs_=()
  concatTo flags distFlags distFlagsArray distTarget=dist
  make "${flags[@]}"
  if [[ "${dontCopyDist:-0}" != 1 ]]; then
    mkdir -p "$out/tarballs"
    concatTo tarballs_ tarballs=*.tar.gz
    # shellcheck disable=SC2068
    cp -pvd ${tarballs_[@]} "$out/tarballs"
  fi
  runHook postDist
}

showPhaseHeader() {
  _logJson "$1"
  case "$1" in
    unpackPhase | patchPhase | configurePhase | buildPhase | checkPhase | installPhase | fixupPhase | installCheckPhase | distPhase)
      echo "Running phase: $1" ;;
    *) echo "Running phase: $1" ;;
  esac
}

showPhaseFooter() {
  local phase=$1 start=$2 end=$3 delta
  delta=$((end - start))
  if ((delta >= 30)); then echo "$phase completed in $((delta / 60)) minutes $((delta % 60)) seconds"; fi
}

runPhase() {
  local phase=$1 start=$SECONDS
  case "$phase" in
    unpackPhase) if [[ -n "${dontUnpack:-}" ]]; then return 0; fi ;;
    patchPhase) if [[ -n "${dontPatch:-}" ]]; then return 0; fi ;;
    configurePhase) if [[ -n "${dontConfigure:-}" ]]; then return 0; fi ;;
    buildPhase) if [[ -n "${dontBuild:-}" ]]; then return 0; fi ;;
    checkPhase) if [[ -z "${doCheck:-}" ]]; then return 0; fi ;;
    installPhase) if [[ -n "${dontInstall:-}" ]]; then return 0; fi ;;
    fixupPhase) if [[ -n "${dontFixup:-}" ]]; then return 0; fi ;;
    installCheckPhase) if [[ -z "${doInstallCheck:-}" ]]; then return 0; fi ;;
    distPhase) if [[ -z "${doDist:-}" ]]; then return 0; fi ;;
  esac
  showPhaseHeader "$phase"
  dumpVars
  # An attribute of the phase's name replaces the function.
  if [[ -n "${!phase:-}" ]]; then eval "${!phase}"; else "$phase"; fi
  showPhaseFooter "$phase" "$start" "$SECONDS"
  if [[ "$phase" == unpackPhase && -n "${sourceRoot:-}" ]]; then
    if [[ ! -d "$sourceRoot" ]]; then
      echo "source root '$sourceRoot' does not exist" >&2
      exit 1
    fi
    cd -- "$sourceRoot"
  fi
}

genericBuild() {
  export GZIP_NO_TIMESTAMPS=1
  if [[ -f "${buildCommandPath:-}" ]]; then
    # shellcheck disable=SC1090
    source "$buildCommandPath"
    return
  fi
  if [[ -n "${buildCommand:-}" ]]; then
    eval "$buildCommand"
    return
  fi
  local curPhase list=()
  definePhases
  concatTo list phases
  for curPhase in "${list[@]}"; do runPhase "$curPhase"; done
}

if [[ -n "${out:-}" ]]; then
  : "${prefix=$out}"
  export prefix
fi
# Which output gets what.
_chooseOutput() {
  local name=$1 candidate
  shift
  if [[ -n "${!name:-}" ]]; then return 0; fi
  for candidate in "$@"; do
    if [[ -n "${!candidate:-}" && " $(getAllOutputNames) " == *" $candidate "* ]]; then
      printf -v "$name" '%s' "$candidate"
      return 0
    fi
  done
  printf -v "$name" '%s' out
}
_chooseOutput outputDev dev out
_chooseOutput outputBin bin out
_chooseOutput outputLib lib out
_chooseOutput outputDoc doc out
_chooseOutput outputMan man out
_chooseOutput outputInfo info out
_chooseOutput outputInclude "$outputDev" out
runHook addInputsHook
runHook postHook
if [[ -n "${userHook:-}" ]]; then eval "$userHook"; fi
