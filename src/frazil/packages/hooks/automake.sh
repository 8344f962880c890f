# Macros of inputs.
_automakeAddInput() { addToSearchPath ACLOCAL_PATH "$1/share/aclocal"; }
addEnvHooks -1 _automakeAddInput
addEnvHooks 0 _automakeAddInput
