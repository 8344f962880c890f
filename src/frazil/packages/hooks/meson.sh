# Configuring by Meson, in the folder `build`; Ninja does the rest.
mesonConfigurePhase() {
  runHook preConfigure
  local flags=(
    "--prefix=$prefix"
    "--bindir=${!outputBin}/bin"
    "--libdir=${!outputLib}/lib"
    "--includedir=${!outputInclude}/include"
    "--mandir=${!outputMan}/share/man"
    "--buildtype=${mesonBuildType:-plain}"
    --wrap-mode=nodownload
  )
  concatTo flags mesonFlags mesonFlagsArray
  echoCmd 'meson flags' "${flags[@]}"
  meson setup "${mesonBuildDir:=build}" "${flags[@]}"
  cd "$mesonBuildDir"
  runHook postConfigure
}
if [[ -z "${dontUseMesonConfigure:-}" && -z "${configurePhase:-}" ]]; then configurePhase=mesonConfigurePhase; fi
