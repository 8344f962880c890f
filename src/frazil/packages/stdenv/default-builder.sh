# Every phase. `genericBuild` is called from here and not from a file that another one sources: bash would answer a
# failing command there with a complaint about its own variables.
set -o pipefail
if [[ -n "${NIX_ATTRS_SH_FILE:-}" && -e "${NIX_ATTRS_SH_FILE}" ]]; then source "$NIX_ATTRS_SH_FILE"; fi
source "$stdenv/setup"
trap exitHandler EXIT
genericBuild
