# .pc files of inputs.
pkgConfigWrapper_addPaths() {
  addToSearchPath PKG_CONFIG_PATH "$1/lib/pkgconfig"
  addToSearchPath PKG_CONFIG_PATH "$1/share/pkgconfig"
}
addEnvHooks 0 pkgConfigWrapper_addPaths
export PKG_CONFIG=pkg-config
