# Modules of inputs: Debian's, and packages made here.
pythonAddPath() {
  local folder
  addToSearchPath PYTHONPATH "$1/lib/python3/dist-packages"
  for folder in "$1"/lib/python3.*/site-packages; do addToSearchPath PYTHONPATH "$folder"; done
}
addEnvHooks 0 pythonAddPath
export PYTHONNOUSERSITE=1 PYTHONHASHSEED="${PYTHONHASHSEED:-0}" DETERMINISTIC_BUILD=1
