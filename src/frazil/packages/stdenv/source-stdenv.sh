# Loads the standard environment, then the builder that was asked for.
set -o pipefail
if [[ -n "${NIX_ATTRS_SH_FILE:-}" && -e "${NIX_ATTRS_SH_FILE}" ]]; then source "$NIX_ATTRS_SH_FILE"; fi
source "$stdenv/setup"
trap exitHandler EXIT
source "$1"
