# `buildGoModule`: programs in Go, their modules vendored in the source (vendorHash = null) or fetched into a
# fixed-output derivation.
{
  lib,
  stdenv,
  go,
  git,
  cacert,
}:
lib.extendMkDerivation {
  constructDrv = stdenv.mkDerivation;
  excludeDrvArgNames = [
    "overrideModAttrs"
    "proxyVendor"
  ];
  extendDrvArgs =
    finalAttrs:
    {
      name ? "${args.pname}-${args.version}",
      nativeBuildInputs ? [ ],
      passthru ? { },
      vendorHash ? throw (
        if args ? vendorSha256 then
          "buildGoModule: vendorSha256 is not known any more; give the hash as vendorHash"
        else
          "buildGoModule: give vendorHash, the hash of the modules that are needed, or null if they are in the source"
      ),
      deleteVendor ? false,
      proxyVendor ? false,
      modRoot ? "./",
      overrideModAttrs ? (_: _: { }),
      goSum ? null,
      subPackages ? [ ],
      excludedPackages ? [ ],
      tags ? [ ],
      ldflags ? [ ],
      buildFlags ? [ ],
      checkFlags ? [ ],
      env ? { },
      meta ? { },
      doCheck ? true,
      allowGoReference ? false,
      goModules ? null,
      GOFLAGS ? [ ],
      CGO_ENABLED ? null,
      ...
    }@args:
    let
      # Go counts its own use below the home.
      withoutTelemetry = ''
        mkdir -p "$HOME/.config/go/telemetry"
        echo off >"$HOME/.config/go/telemetry/mode"
      '';
      modules =
        if finalAttrs.vendorHash or vendorHash == null then
          ""
        else
          (stdenv.mkDerivation {
            name = "${finalAttrs.name or name}-go-modules";
            nativeBuildInputs = (finalAttrs.nativeBuildInputs or nativeBuildInputs) ++ [
              git
              cacert
            ];
            inherit (finalAttrs) src modRoot;
            prePatch = finalAttrs.prePatch or "";
            patches = finalAttrs.patches or [ ];
            patchFlags = finalAttrs.patchFlags or [ ];
            postPatch = finalAttrs.postPatch or "";
            preBuild = finalAttrs.preBuild or "";
            sourceRoot = finalAttrs.sourceRoot or "";
            env = finalAttrs.env or { };
            impureEnvVars = [
              "GOPROXY"
              "GIT_PROXY_COMMAND"
              "SOCKS_SERVER"
            ]
            ++ lib.fetchers.proxyImpureEnvVars;
            SSL_CERT_FILE = cacert + "/etc/ssl/certs/ca-bundle.crt";
            configurePhase = ''
              runHook preConfigure
              ${withoutTelemetry}
              export GOCACHE=$TMPDIR/go-cache GOPATH=$TMPDIR/go
              cd "$modRoot"
              runHook postConfigure
            '';
            buildPhase = ''
              runHook preBuild
              complain_() {
                echo "$1" >&2
                exit 10
              }
              ${lib.optionalString (finalAttrs.deleteVendor or false) ''
                rm -r vendor || complain_ "deleteVendor is set, but the source has no folder vendor"
              ''}
              [ ! -d vendor ] || complain_ "the source has its modules in the folder vendor: set vendorHash = null"
              fetched_=${if proxyVendor then "$GOPATH/pkg/mod/cache/download" else "vendor"}
              ${if proxyVendor then "go mod download -json -x" else "go mod vendor -e"}
              mkdir -p "$fetched_"
              # Sums of the public log, if any, are no module's files.
              rm -rf "$fetched_/sumdb"
              [ -n "$(find "$fetched_" -mindepth 1 -print -quit)" ] ||
                complain_ "the program needs no modules of others: set vendorHash = null"
              runHook postBuild
            '';
            installPhase = ''
              runHook preInstall
              mv "$fetched_" "$out"
              runHook postInstall
            '';
            dontFixup = true;
            outputHashMode = "recursive";
            outputHash = finalAttrs.vendorHash or vendorHash;
            # An SRI hash names its algorithm; the empty one is of SHA-256.
            outputHashAlgo = if finalAttrs.vendorHash or vendorHash == "" then "sha256" else null;
          }).overrideAttrs
            overrideModAttrs;
    in
    {
      inherit
        modRoot
        vendorHash
        deleteVendor
        tags
        ldflags
        ;
      goModules = modules;
      nativeBuildInputs = lib.singleton go ++ nativeBuildInputs;
      subPackages = lib.toList subPackages;
      excludedPackages = lib.toList excludedPackages;
      inherit buildFlags checkFlags;
      env =
        {
          GO111MODULE = "on";
          GOTOOLCHAIN = "local";
          CGO_ENABLED = toString (if CGO_ENABLED != null then CGO_ENABLED else go.CGO_ENABLED);
          GOFLAGS = toString (
            GOFLAGS
            ++ (if proxyVendor then [ ] else [ "-mod=vendor" ])
            ++ lib.optional (!allowGoReference) "-trimpath"
          );
        }
        // env;
      configurePhase =
        args.configurePhase or ''
          runHook preConfigure
          ${withoutTelemetry}
          export GOCACHE=$TMPDIR/go-cache GOPATH=$TMPDIR/go GOPROXY=off GOSUMDB=off
          cd "$modRoot"
          ${
            if modules == "" then
              ""
            else if proxyVendor then
              ''GOPROXY="file://$goModules"''
            else
              ''
                # Writable, for phases that change it.
                rm -rf vendor
                cp -r --no-preserve=mode "$goModules" vendor
              ''
          }
          runHook postConfigure
        '';
      buildPhase =
        args.buildPhase or ''
          runHook preBuild
          goFlags_=()
          concatTo goFlags_ buildFlags buildFlagsArray
          if [ -n "''${tags[*]:-}" ]; then goFlags_+=("-tags=$(concatStringsSep , tags)"); fi
          if [ -n "''${ldflags[*]:-}" ]; then
            if [ "$(declare -p ldflags 2>/dev/null | cut -c1-10)" = "declare -a" ]; then goFlags_+=("-ldflags=''${ldflags[*]}"); else goFlags_+=("-ldflags=$ldflags"); fi
          fi
          goFlags_+=("-p" "$NIX_BUILD_CORES")
          goPackages_() {
            local packages=() excluded=() line pattern
            concatTo packages subPackages
            if ((''${#packages[@]})); then
              for line in "''${packages[@]}"; do
                case "$line" in . | ./*) printf '%s\n' "$line" ;; *) printf './%s\n' "$line" ;; esac
              done
              return
            fi
            concatTo excluded excludedPackages
            excluded+=("/_examples" "/examples" "/testdata" "/vendor/")
            # A folder with a go.mod of its own is another module.
            while IFS= read -r line; do excluded+=("''${line#.}/"); done < <(find . -mindepth 2 -name go.mod -exec dirname {} \;)
            find . -type f -name '*'"''${1:-}"'.go' -exec dirname {} \; | grep -v '/vendor\|^./vendor' | sort -u | while read -r line; do
              for pattern in "''${excluded[@]}"; do if [[ "$line/" == *"$pattern"* ]]; then continue 2; fi; done
              printf '%s\n' "$line"
            done
          }
          while read -r package_; do
            echo "Building subPackage $package_"
            if output_=$(go install "''${goFlags_[@]}" "$package_" 2>&1); then
              if [ -n "$output_" ]; then printf '%s\n' "$output_"; fi
            else
              # A folder may have no program for this system, or tests alone.
              case "$output_" in
                *"no buildable Go source files"* | *"no non-test Go files"* | *"no Go files"* | *"exclude all Go files"*) ;;
                *)
                  printf '%s\n' "$output_" >&2
                  exit 1
                  ;;
              esac
            fi
          done < <(goPackages_)
          runHook postBuild
        '';
      inherit doCheck;
      checkPhase =
        args.checkPhase or ''
          runHook preCheck
          # -trimpath would make tests that read files relative to their source fail.
          export GOFLAGS=''${GOFLAGS//-trimpath/}
          goCheck_=()
          concatTo goCheck_ checkFlags checkFlagsArray
          if [ -n "''${tags[*]:-}" ]; then goCheck_+=("-tags=$(concatStringsSep , tags)"); fi
          while read -r package_; do
            go test -p "$NIX_BUILD_CORES" -v "''${goCheck_[@]}" "$package_"
          done < <(goPackages_ _test)
          runHook postCheck
        '';
      installPhase =
        args.installPhase or ''
          runHook preInstall
          mkdir -p "$out"
          folder_="$GOPATH/bin"
          if [ -d "$folder_" ]; then cp -r "$folder_" "$out"; fi
          runHook postInstall
        '';
      strictDeps = true;
      disallowedReferences = if allowGoReference then [ ] else [ go ];
      passthru = passthru // {
        inherit go;
        goModules = modules;
      };
      meta = {
        platforms = lib.platforms.linux;
      }
      // meta;
    };
}
