# Configuring by CMake, in a folder of its own.
_cmakeAddInput() { addToSearchPath CMAKE_PREFIX_PATH "$1"; }
addEnvHooks 0 _cmakeAddInput

cmakeConfigurePhase() {
  runHook preConfigure
  local source=${cmakeDir:-.} flags=()
  if [[ -z "${dontUseCmakeBuildDir:-}" ]]; then
    mkdir -p "${cmakeBuildDir:=build}"
    cd "$cmakeBuildDir"
    source=${cmakeDir:-..}
  fi
  if [[ "${buildPhase:-}" == ninjaBuildPhase ]]; then flags+=(-GNinja); fi
  flags+=(
    "-DCMAKE_BUILD_TYPE=${cmakeBuildType:-Release}"
    "-DCMAKE_INSTALL_PREFIX=$prefix"
    "-DCMAKE_INSTALL_BINDIR=${!outputBin}/bin"
    "-DCMAKE_INSTALL_SBINDIR=${!outputBin}/sbin"
    "-DCMAKE_INSTALL_LIBDIR=${!outputLib}/lib"
    "-DCMAKE_INSTALL_INCLUDEDIR=${!outputInclude}/include"
    "-DCMAKE_INSTALL_MANDIR=${!outputMan}/share/man"
    # Installed programs keep looking for libraries where they were linked from.
    -DCMAKE_INSTALL_RPATH_USE_LINK_PATH=ON
    -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF
    -DCMAKE_FIND_USE_SYSTEM_PACKAGE_REGISTRY=OFF
    -DCMAKE_EXPORT_NO_PACKAGE_REGISTRY=ON
  )
  if [[ -z "${doCheck:-}" ]]; then flags+=(-DBUILD_TESTING=OFF); fi
  concatTo flags cmakeFlags cmakeFlagsArray
  echoCmd 'cmake flags' "${flags[@]}"
  cmake "$source" "${flags[@]}"
  : "${enableParallelBuilding=1}" "${enableParallelChecking=1}" "${enableParallelInstalling=1}"
  runHook postConfigure
}

if [[ -z "${dontUseCmakeConfigure:-}" && -z "${configurePhase:-}" ]]; then
  # Set by the derivation where it has a part in it, else here.
  configurePhase=cmakeConfigurePhase
fi
