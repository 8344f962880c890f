# Writes `setup`: where the tools are, then the functions.
export PATH=$coreutils/bin
mkdir -p "$out/nix-support"
{
  printf 'export SHELL=%s\n' "$shell"
  printf 'initialPath="%s"\n' "$initialPath"
  printf 'defaultInputs="%s"\n' "$defaultInputs"
  printf 'defaultBuildHooks="%s"\n' "$defaultBuildHooks"
  if [[ -n "${preHook:-}" ]]; then printf '%s\n' "$preHook"; fi
  cat "$setup"
} >"$out/setup"
