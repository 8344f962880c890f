# Container images with nixpkgs' names. The work is done by the program in ../oci, which these builders run.
{ lib, pkgs }:
let
  inherit (lib) optional optionalAttrs toLower;
  inherit (pkgs) runCommand writeText writeTextDir symlinkJoin;

  program = builtins.path {
    path = ../oci;
    name = "oci";
    filter = path: _: baseNameOf path != "__pycache__";
  };
  python = "${pkgs.python3}/bin/python3";
  # Python compiles what it imports at every start, unless that was done before: a third of a second.
  compiled =
    pkgs.runCommandLocal "oci-compiled" { } ''
      mkdir "$out"
      ${python} -IB -X pycache_prefix="$out" ${program}/compile.py
    '';
  oci = "${python} -IB -X pycache_prefix=${compiled} ${program}";
  fakeroot = pkgs.debianPackages.package "libfakeroot";
  faked = "${pkgs.debianPackages.package "fakeroot"}/bin/faked-sysv";

  defaultArchitecture = pkgs.stdenv.hostPlatform.go.GOARCH;
  epoch = "1970-01-01T00:00:01Z";
  extensions = {
    gz = ".gz";
    zstd = ".zst";
    none = "";
  };
  extension =
    compressor: name:
    extensions.${compressor}
      or (throw "the compressor of the image '${name}' is '${compressor}': it can be ${lib.concatStringsSep ", " (builtins.attrNames extensions)}");
  hashOf = drv: lib.head (lib.splitString "-" (baseNameOf (builtins.unsafeDiscardStringContext drv.outPath)));
  listOf = value: if value == null then [ ] else lib.toList value;

  # A builder that reads its attributes from the JSON that structured attributes make.
  ociCommand =
    name: attrs: script:
    runCommand name (
      {
        __structuredAttrs = true;
        preferLocalBuild = true;
        storeDir = builtins.storeDir;
      }
      // attrs
      // {
        nativeBuildInputs =
          attrs.nativeBuildInputs or [ ]
          # Base images may be compressed with it whatever becomes of them.
          ++ optional (attrs.compressor or null == "zstd" || attrs.fromImage or null != null || attrs ? images) pkgs.zstd;
      }
    ) script;

  # What the configuration names is part of the image's closure: it is a store object of its own.
  configFile = name: config: writeText "${name}-base.json" (builtins.toJSON (if config == null then { } else config));

  # What runs in a root of its own (see ../oci/as_root.py).
  asRoot = {
    inherit faked;
    libfakeroot = "${fakeroot}/lib/libfakeroot/libfakeroot-sysv.so";
    shell = pkgs.runtimeShell;
    nativeBuildInputs = [
      pkgs.util-linux
      pkgs.coreutils
      # Debian's util-linux comes without it.
      (pkgs.debianPackages.package "mount")
    ];
  };
  rootScript =
    name: text:
    pkgs.writeScript name ''
      #!${pkgs.runtimeShell}
      set -e
      export PATH=${pkgs.coreutils}/bin:/bin
      ${text}
    '';

  # The folder `layer` out of `contents`; a database of the store inside the image, for programs that use it there; then
  # commands in the folder, which find both.
  prepareLayer = includeNixDB: ''
    mkdir layer
    ${oci} copy-to-root "$NIX_ATTRS_JSON_FILE" layer
    ${lib.optionalString includeNixDB ''${oci} store-database "$NIX_ATTRS_JSON_FILE" layer''}
    if [ -n "$extraCommands" ]; then (cd layer; eval "$extraCommands"); fi
  '';

  buildImage = lib.makeOverridable (
    args@{
      name,
      tag ? null,
      fromImage ? null,
      fromImageName ? null,
      fromImageTag ? null,
      copyToRoot ? null,
      contents ? null,
      keepContentsDirlinks ? false,
      config ? null,
      architecture ? defaultArchitecture,
      extraCommands ? "",
      uid ? 0,
      gid ? 0,
      runAsRoot ? null,
      # Of the virtual machine that nixpkgs runs `runAsRoot` in; a namespace needs neither.
      diskSize ? 1024,
      buildVMMemorySize ? 512,
      created ? epoch,
      compressor ? "gz",
      includeStorePaths ? true,
      includeNixDB ? false,
      meta ? { },
    }:
    let
      baseName = baseNameOf name;
      roots =
        if copyToRoot != null && contents != null then
          throw "in docker image ${name}: give `copyToRoot` or `contents`, which is its old name, and not both"
        else if contents != null then
          lib.warn "in docker image ${name}: The contents parameter is deprecated. Change to copyToRoot if the contents are designed to be copied to the root filesystem, such as when you use `buildEnv` or similar between contents and your packages. Use copyToRoot = buildEnv { ... }; or similar if you intend to add packages to /bin." contents
        else
          copyToRoot;
      baseJson = configFile baseName config;
      layerAttrs = {
        contents = map toString (listOf roots);
        folder = "layer";
        inherit
          keepContentsDirlinks
          extraCommands
          uid
          gid
          created
          ;
      };
      database = optionalAttrs includeNixDB { exportReferencesGraph.graph = listOf roots ++ [ baseJson ]; };
      layer =
        if runAsRoot == null then
          ociCommand "docker-layer-${baseName}" (layerAttrs // database) ''
            ${prepareLayer includeNixDB}
            ${oci} layer "$NIX_ATTRS_JSON_FILE" "$out"
          ''
        else
          ociCommand "docker-layer-${baseName}" (
            layerAttrs
            // database
            // asRoot
            // {
              inherit
                fromImage
                fromImageName
                fromImageTag
                includeNixDB
                ;
              folder = "image-root";
              chroot = true;
              script = rootScript "run-as-root.sh" runAsRoot;
            }
          ) ''
            ${oci} run-as-root "$NIX_ATTRS_JSON_FILE" "$out"
          '';
      result = ociCommand "docker-image-${baseName}.tar${extension compressor name}" {
        inherit
          fromImage
          fromImageName
          fromImageTag
          architecture
          created
          uid
          gid
          compressor
          includeStorePaths
          meta
          ;
        singleLayer = true;
        imageName = toLower name;
        imageTag = if tag == null then "" else tag;
        configFile = baseJson;
        customisationLayer = layer;
        exclude = [
          "${baseJson}"
          "${layer}"
        ];
        exportReferencesGraph.graph = [
          baseJson
          layer
        ];
        passthru = {
          buildArgs = args;
          inherit layer;
          imageTag = if tag != null then tag else hashOf result;
        };
      } ''
        ${oci} archive "$NIX_ATTRS_JSON_FILE" "$out"
      '';
    in
    checkNames name tag result
  );

  checkNames =
    name: tag: result:
    assert lib.assertMsg (name != "") "an image needs a name";
    assert lib.assertMsg (tag != "") "the tag of the image '${name}' is empty: leave it out, and it is the output's hash";
    result;

  customisationLayer =
    {
      baseName,
      contents,
      extraCommands,
      fakeRootCommands,
      enableFakechroot,
      includeNixDB,
      baseJson,
      mtime,
    }:
    let
      joined = symlinkJoin {
        name = "${baseName}-root";
        paths = contents;
      };
    in
    ociCommand "${baseName}-customisation-layer" (
      {
        contents = optional (contents != [ ]) "${joined}";
        keepContentsDirlinks = true;
        folder = "layer";
        inherit extraCommands mtime;
      }
      // optionalAttrs includeNixDB { exportReferencesGraph.graph = contents ++ [ baseJson ]; }
      // optionalAttrs (fakeRootCommands != "") (
        asRoot
        // {
          chroot = enableFakechroot;
          ready = true;
          script = pkgs.writeScript "fake-root-commands.sh" ''
            ${lib.optionalString enableFakechroot "export PATH=${pkgs.coreutils}/bin:/bin"}
            ${fakeRootCommands}
          '';
        }
      )
    ) ''
      ${prepareLayer includeNixDB}
      ${oci} ${if fakeRootCommands == "" then "layer" else "run-as-root"} "$NIX_ATTRS_JSON_FILE" "$out"
    '';

  streamLayeredImage = lib.makeOverridable (
    {
      name,
      tag ? null,
      fromImage ? null,
      contents ? [ ],
      config ? { },
      architecture ? defaultArchitecture,
      created ? epoch,
      mtime ? epoch,
      uid ? 0,
      gid ? 0,
      uname ? "root",
      gname ? "root",
      maxLayers ? 100,
      extraCommands ? "",
      fakeRootCommands ? "",
      enableFakechroot ? false,
      includeStorePaths ? true,
      includeNixDB ? false,
      layeringPipeline ? null,
      # Says which paths went where, with every layer; what ../oci does anyway.
      debug ? false,
      passthru ? { },
      meta ? { },
    }:
    assert lib.assertMsg (layeringPipeline != null || maxLayers > 1)
      "the maxLayers argument of dockerTools.buildLayeredImage must be greater than 1, since the customisation layer is one (and is ${toString maxLayers})";
    let
      baseName = baseNameOf name;
      baseJson = configFile baseName config;
      layer = customisationLayer {
        contents = listOf contents;
        inherit
          baseName
          baseJson
          extraCommands
          fakeRootCommands
          enableFakechroot
          includeNixDB
          mtime
          ;
      };
      conf = ociCommand "${baseName}-conf.json" {
        inherit
          fromImage
          architecture
          created
          mtime
          uid
          gid
          uname
          gname
          maxLayers
          layeringPipeline
          includeStorePaths
          ;
        imageName = toLower name;
        imageTag = if tag == null then "" else tag;
        configFile = baseJson;
        customisationLayer = layer;
        exclude = [
          "${baseJson}"
          "${layer}"
        ];
        exportReferencesGraph.graph = [
          baseJson
          layer
        ];
      } ''
        ${oci} plan "$NIX_ATTRS_JSON_FILE" "$out"
      '';
      result =
        runCommand "stream-${baseName}"
          {
            preferLocalBuild = true;
            imagePlan = "${conf}";
            passthru = passthru // {
              inherit conf layer;
              imageName = toLower name;
              imageTag = if tag != null then tag else hashOf conf;
              # It is run, and its output is the image.
              isExe = true;
            };
            inherit meta;
          }
          ''
            printf '#!%s\nexec %s stream %s "$@"\n' ${pkgs.runtimeShell} ${lib.escapeShellArg oci} ${conf} >"$out"
            chmod +x "$out"
          '';
    in
    checkNames name tag result
  );

  # An archive out of what a stream would say.
  archived =
    {
      stream,
      compressor,
      meta ? { },
    }:
    let
      name = lib.removePrefix "stream-" stream.name;
    in
    ociCommand "${name}.tar${extension compressor name}" {
      inherit compressor meta;
      # What needs the layers and not the archive finds them here.
      imagePlan = "${stream.conf}";
      inherit (stream) imageName;
      passthru = {
        inherit (stream) imageTag;
        inherit stream;
      };
    } ''
      ${oci} archive-stream "$NIX_ATTRS_JSON_FILE" "$out"
    '';

  buildLayeredImage = lib.makeOverridable (
    {
      name,
      compressor ? "gz",
      ...
    }@args:
    archived {
      stream = streamLayeredImage (removeAttrs args [ "compressor" ]);
      inherit compressor;
      meta = args.meta or { };
    }
  );

  streamNixShellImage =
    {
      drv,
      name ? drv.name + "-env",
      tag ? null,
      uid ? 1000,
      gid ? 1000,
      homeDirectory ? "/build",
      shell ? "${pkgs.bashInteractive}/bin/bash",
      command ? null,
      run ? null,
    }:
    assert lib.assertMsg (drv ? drvAttrs) "streamNixShellImage: `drv` must be a derivation";
    assert lib.assertMsg (!(drv.drvAttrs.__structuredAttrs or false))
      "streamNixShellImage: '${drv.name}' has structured attributes, which no environment of an image can hold";
    assert lib.assertMsg (command == null || run == null) "streamNixShellImage: give `command` or `run`, and not both";
    let
      # What a build of it sees, as texts; the sources of the shell are what its environment names.
      text =
        value:
        if value == null then
          ""
        else if builtins.isBool value then
          lib.optionalString value "1"
        else if builtins.isList value then
          toString (map text value)
        else if builtins.isPath value then
          "${value}"
        else
          toString value;
      passed = drv.drvAttrs.passAsFile or [ ];
      fileOf = key: "${writeText "pass-as-text-${key}" (text drv.drvAttrs.${key})}";
      plainVariables = lib.mapAttrs (_: text) (removeAttrs drv.drvAttrs (passed ++ [ "args" ]));
      passedVariables = builtins.listToAttrs (map (key: lib.nameValuePair "${key}Path" (fileOf key)) passed);
      buildFolder = "/build";
      # Builds the derivation itself: the store in the image belongs to the user.
      builder = pkgs.writeShellScriptBin "buildDerivation" ''
        unset IN_NIX_SHELL
        exec ${lib.escapeShellArgs (map text ([ drv.drvAttrs.builder ] ++ drv.drvAttrs.args or [ ]))}
      '';
      staticPath = "${builtins.dirOf shell}:${builder}/bin";
      variables = {
        SSL_CERT_FILE = "${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt";
        NIX_SSL_CERT_FILE = "${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt";
        PATH = staticPath;
        HOME = homeDirectory;
        USER = "nixbld";
        NIX_STORE = builtins.storeDir;
        NIX_BUILD_CORES = "1";
      }
        // plainVariables
        // passedVariables
        // lib.genAttrs (drv.outputs or [ "out" ]) (output: builtins.unsafeDiscardStringContext drv.${output}.outPath)
        // {
          NIX_BUILD_TOP = buildFolder;
          TMPDIR = buildFolder;
          TEMPDIR = buildFolder;
          TMP = buildFolder;
          TEMP = buildFolder;
          PWD = buildFolder;
          IN_NIX_SHELL = "impure";
          TERM = "xterm-256color";
          # Certificates and settings of the user's come from outside, if at all.
          NIX_ENFORCE_PURITY = "0";
        };
      startup = writeText "nix-shell-rc" ''
        unset PATH
        dontAddDisableDepTrack=1
        # Where the derivation has a setup of its own, its functions and hooks are there as in a build.
        [ -e "''${stdenv:-}/setup" ] && source "$stdenv/setup"
        PATH=${staticPath}:"$PATH"
        SHELL=${lib.escapeShellArg shell}
        BASH=${lib.escapeShellArg shell}
        set +e
        [ -n "''${PS1:-}" ] && PS1='\n\[\033[1;32m\][nix-shell:\w]\$\[\033[0m\] '
        if [ "$(type -t runHook)" = function ]; then runHook shellHook; fi
        unset NIX_ENFORCE_PURITY
        shopt -u nullglob
        shopt -s execfail
        ${lib.concatStringsSep "\n" (map (commands: "${commands}\nexit") (lib.remove null [ command run ]))}
      '';
    in
    streamLayeredImage {
      inherit name tag;
      contents = [
        binSh
        usrBinEnv
        (fakeNss.override {
          # Everything outside the store belongs to the user of the build.
          extraPasswdLines = [ "nixbld:x:${toString uid}:${toString gid}:Build user:${homeDirectory}:/noshell" ];
          extraGroupLines = [ "nixbld:!:${toString gid}:" ];
        })
      ];
      fakeRootCommands = ''
        mkdir -p .${homeDirectory} ./build ./tmp .${builtins.storeDir} ./nix/var/nix ./etc/nix
        chown -R ${toString uid}:${toString gid} ./nix ./etc/nix
        chown ${toString uid}:${toString gid} .${homeDirectory} ./build
        chmod 1777 ./tmp
      '';
      config = {
        Cmd = if run == null then [ shell "--rcfile" "${startup}" ] else [ shell "${startup}" ];
        WorkingDir = "/build";
        Env = lib.mapAttrsToList (key: value: "${key}=${value}") variables;
        User = "${toString uid}:${toString gid}";
      };
    };

  buildNixShellImage =
    {
      drv,
      compressor ? "gz",
      ...
    }@args:
    archived {
      stream = streamNixShellImage (removeAttrs args [ "compressor" ]);
      inherit compressor;
    };

  exportImage =
    {
      name ? fromImage.name,
      fromImage,
      fromImageName ? null,
      fromImageTag ? null,
      diskSize ? 1024,
    }:
    ociCommand name (
      asRoot
      // {
        inherit fromImage fromImageName fromImageTag;
        folder = "image-root";
      }
    ) ''
      ${oci} export "$NIX_ATTRS_JSON_FILE" "$out"
    '';

  mergeImages =
    images:
    ociCommand "merge-docker-images" {
      # As the last of the images.
      compressor = null;
      images = map (image: if image.isExe or false then "${image.conf}" else "${image}") images;
    } ''
      ${oci} merge "$NIX_ATTRS_JSON_FILE" "$out"
    '';

  pullImage =
    let
      fixName = builtins.replaceStrings [ "/" ":" ] [ "-" "-" ];
    in
    lib.fetchers.withNormalizedHash { } (
      {
        imageName,
        imageDigest,
        outputHash,
        outputHashAlgo,
        os ? "linux",
        arch ? defaultArchitecture,
        tlsVerify ? true,
        finalImageName ? imageName,
        finalImageTag ? "latest",
        name ? fixName "docker-image-${finalImageName}-${finalImageTag}.tar",
      }:
      runCommand name
        {
          inherit imageDigest outputHash outputHashAlgo;
          # An image made of this very package set names what the set's own skopeo needs.
          __structuredAttrs = true;
          unsafeDiscardReferences.out = true;
          imageName = finalImageName;
          imageTag = finalImageTag;
          impureEnvVars = lib.fetchers.proxyImpureEnvVars;
          outputHashMode = "flat";
          nativeBuildInputs = [ pkgs.skopeo ];
          SSL_CERT_FILE = "${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt";
          sourceURL = "docker://${imageName}@${imageDigest}";
          destNameTag = "${finalImageName}:${finalImageTag}";
        }
        ''
          skopeo --insecure-policy --tmpdir="$TMPDIR" --override-os ${os} --override-arch ${arch} \
            copy --src-tls-verify=${lib.boolToString tlsVerify} "$sourceURL" "docker-archive://$out:$destNameTag" | cat
        ''
    );

  binSh = runCommand "bin-sh" { } ''
    mkdir -p $out/bin
    ln -s ${pkgs.bashInteractive}/bin/bash $out/bin/sh
  '';
  usrBinEnv = runCommand "usr-bin-env" { } ''
    mkdir -p $out/usr/bin
    ln -s ${pkgs.coreutils}/bin/env $out/usr/bin
  '';
  caCertificates = runCommand "ca-certificates" { } ''
    mkdir -p $out/etc/ssl/certs $out/etc/pki/tls/certs
    ln -s ${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt $out/etc/ssl/certs/ca-bundle.crt
    ln -s ${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt $out/etc/ssl/certs/ca-certificates.crt
    ln -s ${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt $out/etc/pki/tls/certs/ca-bundle.crt
  '';
  inherit (pkgs) fakeNss;

  # For `runAsRoot`: files that managing users and groups needs, where they are not there yet.
  shadowSetup = ''
    export PATH=${pkgs.shadow}/bin:$PATH
    mkdir -p /etc/pam.d
    [ -e /etc/passwd ] || echo 'root:x:0:0::/root:${pkgs.runtimeShell}' >/etc/passwd
    [ -e /etc/shadow ] || echo 'root:!x:::::::' >/etc/shadow
    [ -e /etc/group ] || echo 'root:x:0:' >/etc/group
    [ -e /etc/gshadow ] || echo 'root:x::' >/etc/gshadow
    [ -e /etc/login.defs ] || touch /etc/login.defs
    [ -e /etc/pam.d/other ] || cat >/etc/pam.d/other <<'PAM'
    account sufficient pam_unix.so
    auth sufficient pam_rootok.so
    password requisite pam_unix.so nullok yescrypt
    session required pam_unix.so
    PAM
  '';

  withDatabase = args: args // { includeNixDB = true; };
in
{
  inherit
    buildImage
    buildLayeredImage
    streamLayeredImage
    buildNixShellImage
    streamNixShellImage
    exportImage
    mergeImages
    pullImage
    binSh
    usrBinEnv
    caCertificates
    fakeNss
    shadowSetup
    defaultArchitecture
    ;
  # For other makers of images in this package set.
  ociProgram = oci;
  buildImageWithNixDb = args: buildImage (withDatabase args);
  buildLayeredImageWithNixDb = args: buildLayeredImage (withDatabase args);
  # For scripts that are part of `runAsRoot`.
  shellScript = rootScript;
}
