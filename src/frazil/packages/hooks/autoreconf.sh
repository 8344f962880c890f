# Makes `configure` anew before it is run.
autoreconfPhase() {
  runHook preAutoreconf
  local flags=()
  concatTo flags autoreconfFlags='--install --force --verbose'
  # shellcheck disable=SC2068
  autoreconf ${flags[@]}
  runHook postAutoreconf
}
if [[ -z "${dontAutoreconf:-}" ]]; then appendToVar preConfigurePhases autoreconfPhase; fi
