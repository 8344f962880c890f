# Building, checking and installing by Ninja, where a file build.ninja was made.
_ninja() {
  local title=$1 flags=("-j$NIX_BUILD_CORES")
  shift
  concatTo flags ninjaFlags ninjaFlagsArray "$@"
  echoCmd "$title" "${flags[@]}"
  TERM=dumb ninja "${flags[@]}"
}
ninjaBuildPhase() {
  runHook preBuild
  _ninja 'build flags' buildFlags buildFlagsArray
  runHook postBuild
}
ninjaCheckPhase() {
  runHook preCheck
  if [[ -z "${checkTarget:-}" ]] && ninja -t query test >/dev/null 2>&1; then checkTarget=test; fi
  if [[ -z "${checkTarget:-}" ]]; then
    _nothingTo check "build.ninja has no target test"
  else
    _ninja 'check flags' checkFlags checkFlagsArray checkTarget
  fi
  runHook postCheck
}
ninjaInstallPhase() {
  runHook preInstall
  _ninja 'install flags' installFlags installFlagsArray installTargets=install
  runHook postInstall
}
if [[ -z "${dontUseNinjaBuild:-}" && -z "${buildPhase:-}" ]]; then buildPhase=ninjaBuildPhase; fi
if [[ -z "${dontUseNinjaCheck:-}" && -z "${checkPhase:-}" ]]; then checkPhase=ninjaCheckPhase; fi
if [[ -z "${dontUseNinjaInstall:-}" && -z "${installPhase:-}" ]]; then installPhase=ninjaInstallPhase; fi
