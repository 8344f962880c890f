# Images as JSON, with the names and arguments of nix2container: layers are planned and hashed when an image is built, and
# their bytes are made when a destination lacks them. The work is done by the program in ../oci.
{ lib, pkgs }:
let
  inherit (pkgs) runCommandLocal writeText;
  inherit (pkgs.dockerTools) defaultArchitecture ociProgram;
  oci = "${ociProgram}";
  skopeo = "${pkgs.skopeo}/bin/skopeo";
  listOf = value: if value == null then [ ] else lib.toList value;
  paths = map toString;
  fixName = builtins.replaceStrings [ "/" ":" "@" ] [ "-" "-" "-" ];

  command =
    name: attrs: text:
    runCommandLocal name (
      {
        __structuredAttrs = true;
        storeDir = builtins.storeDir;
      }
      // attrs
    ) text;
  # What is built at every change has no shell that prepares itself first.
  describe =
    name: what:
    {
      passthru ? { },
      meta ? { },
      ...
    }@attrs:
    builtins.derivation (
      removeAttrs attrs [
        "passthru"
        "meta"
      ]
      // {
        inherit name;
        inherit (pkgs.stdenv.buildPlatform) system;
        __structuredAttrs = true;
        preferLocalBuild = true;
        allowSubstitutes = false;
        storeDir = builtins.storeDir;
        builder = pkgs.stdenv.shell;
        args = [
          "-c"
          ''exec ${oci} describe-${what} "$NIX_ATTRS_JSON_FILE" ${builtins.placeholder "out"}''
        ];
      }
    )
    // passthru
    // {
      inherit meta;
    };

  # `contents` is the old name of `copyToRoot`.
  rootsOf =
    function:
    { copyToRoot, contents }:
    if copyToRoot != null && contents != null then
      throw "${function}: give `copyToRoot` or `contents`, which is its old name, and not both"
    else if contents != null then
      lib.warn "${function}: `contents` is the old name of `copyToRoot`, which is what to write now" (listOf contents)
    else
      listOf copyToRoot;

  # Layers with those that they were built on before them.
  withNested = layers: lib.concatMap (layer: layer.nestedLayers or [ ] ++ [ layer ]) layers;

  makeLayer =
    {
      name,
      deps,
      roots,
      ignore,
      layers,
      reproducible,
      perms,
      maxLayers,
      metadata,
    }:
    let
      earlier = withNested layers;
    in
    describe name "layers" {
      ignore = map (path: builtins.unsafeDiscardStringContext (toString path)) ignore;
      layers = paths earlier;
      copyToRoot = paths roots;
      inherit
        maxLayers
        metadata
        perms
        reproducible
        ;
      exportReferencesGraph.graph = deps ++ roots;
      passthru = {
        nestedLayers = earlier;
        # What it is made of, for `database`.
        contents = deps ++ roots;
        rootPaths = roots;
      };
    };

  buildLayer =
    {
      deps ? [ ],
      copyToRoot ? null,
      contents ? null,
      ignore ? null,
      layers ? [ ],
      reproducible ? true,
      perms ? [ ],
      maxLayers ? 1,
      metadata ? {
        created_by = "nix2container";
      },
    }:
    makeLayer {
      name = "layers.json";
      roots = rootsOf "buildLayer" { inherit copyToRoot contents; };
      ignore = listOf ignore;
      inherit
        deps
        layers
        reproducible
        perms
        maxLayers
        metadata
        ;
    };

  # A database of all that is in the image, and roots that keep it, at the image's root.
  database =
    {
      roots,
      layers,
      configFile,
    }:
    command "nix-database"
      {
        exportReferencesGraph.graph = [ configFile ] ++ roots ++ lib.concatMap (layer: layer.contents) layers;
        ignore = [ (builtins.unsafeDiscardStringContext "${configFile}") ];
        atRoot = paths (roots ++ lib.concatMap (layer: layer.rootPaths) layers);
      }
      ''
        mkdir -p "$out${builtins.storeDir}/.links"
        ${oci} store-database "$NIX_ATTRS_JSON_FILE" "$out"
      '';

  buildImage =
    {
      name,
      tag ? null,
      config ? { },
      layers ? [ ],
      copyToRoot ? null,
      contents ? null,
      fromImage ? null,
      arch ? defaultArchitecture,
      perms ? [ ],
      maxLayers ? 1,
      initializeNixDatabase ? false,
      nixUid ? 0,
      nixGid ? 0,
      created ? "1970-01-01T00:00:01Z",
      meta ? { },
    }:
    assert lib.assertMsg (name != "") "an image needs a name";
    let
      baseName = baseNameOf name;
      configFile = writeText "config.json" (builtins.toJSON config);
      roots = rootsOf "buildImage" { inherit copyToRoot contents; };
      earlier = withNested layers;
      nixDatabase = database {
        inherit configFile roots;
        layers = earlier;
      };
      withDatabase = lib.optional initializeNixDatabase nixDatabase;
      own = makeLayer {
        name = "layers.json";
        deps = [ configFile ];
        roots = roots ++ withDatabase;
        ignore = [ configFile ];
        reproducible = true;
        metadata.created_by = "nix2container";
        perms =
          perms
          ++ map (path: {
            inherit path;
            regex = ".*";
            mode = "0755";
            uid = nixUid;
            gid = nixGid;
          }) withDatabase;
        inherit layers maxLayers;
      };
      imageName = lib.toLower name;
      imageTag =
        if tag != null then
          tag
        else
          lib.head (lib.splitString "-" (baseNameOf (builtins.unsafeDiscardStringContext image.outPath)));
      reference = "${imageName}:${imageTag}";
      image =
        describe "image-${baseName}.json" "image" {
          inherit
            arch
            configFile
            created
            imageName
            meta
            ;
          imageTag = tag;
          fromImage = if fromImage == null || fromImage == "" then null else "${fromImage}";
          layers = paths (earlier ++ [ own ]);
          passthru = {
            inherit fromImage imageName imageTag;
            imageRefUnsafe = builtins.unsafeDiscardStringContext reference;
            copyToDockerDaemon = copying "copy-to-docker-daemon" "docker-daemon:${reference}";
            copyToRegistry = copying "copy-to-registry" "docker://${reference}";
            copyToPodman = copying "copy-to-podman" "containers-storage:${reference}";
            copyTo = copying "copy-to" null;
          };
        };
      copying =
        name: destination:
        pkgs.writeShellScriptBin name ''
          ${lib.optionalString (destination != null) "echo ${lib.escapeShellArg "${reference} goes to ${destination}"} >&2"}
          exec ${oci} skopeo ${skopeo} --insecure-policy copy nix:${image} ${
            lib.optionalString (destination != null) (lib.escapeShellArg destination)
          } "$@"
        '';
    in
    image;

  # Credentials that the sandbox is given (`extra-sandbox-paths`).
  authFile = "/etc/skopeo/auth.json";
  fetching = {
    impureEnvVars = lib.fetchers.proxyImpureEnvVars;
    nativeBuildInputs = [ pkgs.skopeo ];
    SSL_CERT_FILE = "${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt";
  };

  pullImage =
    {
      imageName,
      imageDigest,
      sha256,
      os ? "linux",
      arch ? defaultArchitecture,
      tlsVerify ? true,
      name ? fixName "docker-image-${imageName}",
    }:
    describe "nix2container-${fixName imageName}.json" "folder" {
      folder = "${pkgs.runCommand name
        (
          fetching
          // {
            __structuredAttrs = true;
            # The base image's own files may name what made it.
            unsafeDiscardReferences.out = true;
            outputHashMode = "recursive";
            outputHashAlgo = "sha256";
            outputHash = sha256;
          }
        )
        ''
          skopeo --insecure-policy --tmpdir="$TMPDIR" --override-os ${os} --override-arch ${arch} copy \
            --src-tls-verify=${lib.boolToString tlsVerify} $([ ! -f ${authFile} ] || echo --authfile=${authFile}) \
            ${lib.escapeShellArg "docker://${imageName}@${imageDigest}"} "dir:$out" >&2
        ''
      }";
    };

  pullImageFromManifest =
    {
      imageName,
      imageManifest,
      imageTag ? "latest",
      os ? "linux",
      arch ? defaultArchitecture,
      tlsVerify ? true,
      registryUrl ? "registry-1.docker.io",
    }:
    let
      url = "docker://${registryUrl}/${imageName}:${imageTag}";
      tls = "--tls-verify=${lib.boolToString tlsVerify}";
      manifest = lib.importJSON imageManifest;
      blobName = digest: lib.removePrefix "sha256:" digest;
      blob =
        digest:
        pkgs.runCommand (blobName digest)
          (
            fetching
            // {
              __structuredAttrs = true;
              unsafeDiscardReferences.out = true;
              outputHashMode = "flat";
              outputHashAlgo = "sha256";
              outputHash = blobName digest;
            }
          )
          ''
            skopeo --insecure-policy --tmpdir="$TMPDIR" layers ${tls} \
              $([ ! -f ${authFile} ] || echo --authfile=${authFile}) ${lib.escapeShellArg url} ${digest} >&2
            mv layers-*/${blobName digest} "$out"
          '';
      digests = lib.unique (map (layer: layer.digest) manifest.layers ++ [ manifest.config.digest ]);
    in
    describe "nix2container-${fixName imageName}.json" "folder" {
      manifest = writeText "manifest.json" (builtins.readFile imageManifest);
      blobs = lib.genAttrs' digests (digest: lib.nameValuePair (blobName digest) "${blob digest}");
      # Prints the manifest of the image for this platform, to be kept beside the flake.
      passthru.getManifest = pkgs.writeShellApplication {
        name = "get-manifest";
        runtimeInputs = [
          pkgs.jq
          pkgs.skopeo
        ];
        text = ''
          url=${lib.escapeShellArg url}
          raw=$(skopeo inspect ${tls} --raw "$url")
          digest=$(jq --raw-output --arg os ${os} --arg arch ${arch} \
            '[.manifests[]? | select(.platform.os == $os and .platform.architecture == $arch) | .digest][0] // empty' <<<"$raw")
          [ -z "$digest" ] || raw=$(skopeo inspect ${tls} --raw "''${url%:*}@$digest")
          printf '%s' "$raw"
        '';
      };
    };

  skopeo-nix2container = pkgs.writeShellScriptBin "skopeo" ''exec ${oci} skopeo ${skopeo} "$@"'';
  nix2container-bin = pkgs.writeShellScriptBin "nix2container" ''exec ${oci} "$@"'';
in
{
  inherit nix2container-bin skopeo-nix2container;
  # A derivation, so that a flake's list of packages may have it.
  nix2container = nix2container-bin // {
    inherit
      buildImage
      buildLayer
      pullImage
      pullImageFromManifest
      ;
  };
}
