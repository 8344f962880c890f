# Modules of inputs.
pythonAddPath() { addToSearchPath PYTHONPATH "$1/@sitePackages@"; }
addEnvHooks 0 pythonAddPath
export PYTHONNOUSERSITE=1 PYTHONHASHSEED="${PYTHONHASHSEED:-0}" DETERMINISTIC_BUILD=1
