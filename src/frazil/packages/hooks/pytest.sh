# Runs pytest among the checks of a Python package.
pytestCheckPhase() {
  if [[ -n "${dontUsePytestCheck:-}" ]]; then return; fi
  local flags=() words=() word expression=
  concatTo words disabledTests
  for word in "${words[@]}"; do expression+="${expression:+ and }not $word"; done
  if [[ -n "$expression" ]]; then flags+=(-k "$expression"); fi
  words=()
  concatTo words disabledTestPaths
  for word in "${words[@]}"; do flags+=("--ignore=$word"); done
  concatTo flags pytestFlags pytestFlagsArray enabledTestPaths
  python3 -m pytest "${flags[@]}"
}
declare -ga pythonChecks
pythonChecks+=(pytestCheckPhase)
