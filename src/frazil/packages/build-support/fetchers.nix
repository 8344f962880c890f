# Sources from elsewhere, each a fixed-output derivation.
{
  lib,
  stdenvNoCC,
  pkgs,
}:
let
  inherit (lib.fetchers) normalizeHash proxyImpureEnvVars;
  # What a fetch may know of the machine it runs on, and whom it trusts.
  impureEnvVars = proxyImpureEnvVars;
  authorities = pkgs.cacert + "/etc/ssl/certs/ca-bundle.crt";
  hashTypes = [
    "sha256"
    "sha512"
    "sha1"
    "md5"
  ];
  # What Nix derives from an SRI hash by itself.
  hashed =
    args:
    let
      normal = normalizeHash { inherit hashTypes; } (
        builtins.intersectAttrs {
          hash = null;
          sha256 = null;
          sha512 = null;
          sha1 = null;
          md5 = null;
          outputHash = null;
          outputHashAlgo = null;
        } args
      );
    in
    {
      inherit (normal) outputHash;
    }
    // lib.optionalAttrs (normal.outputHashAlgo or null != null) { inherit (normal) outputHashAlgo; };
  asPackage =
    attrs: drv:
    drv
    // {
      meta = attrs.meta or { };
      passthru = attrs.passthru or { };
      overrideAttrs = f: asPackage attrs (derivation (drv.drvAttrs // (if lib.isFunction f then f drv.drvAttrs else f)));
    }
    // (attrs.passthru or { });
in
rec {
  fetchurl = lib.makeOverridable (
    {
      url ? "",
      urls ? [ ],
      name ? "",
      pname ? "",
      version ? "",
      hash ? "",
      sha256 ? "",
      sha512 ? "",
      sha1 ? "",
      md5 ? "",
      outputHash ? "",
      outputHashAlgo ? "",
      recursiveHash ? false,
      executable ? false,
      downloadToTemp ? false,
      postFetch ? "",
      curlOpts ? "",
      curlOptsList ? [ ],
      netrcPhase ? null,
      showURLs ? false,
      nativeBuildInputs ? [ ],
      meta ? { },
      passthru ? { },
      preferLocalBuild ? true,
      ...
    }@args:
    let
      all = if urls != [ ] then urls else [ url ];
      first = builtins.head all;
      fileName =
        if name != "" then
          name
        else if pname != "" && version != "" then
          "${pname}-${version}"
        else
          lib.strings.sanitizeDerivationName (baseNameOf (toString first));
      given = lib.filterAttrs (_: v: v != "" && v != null) {
        inherit
          hash
          sha256
          sha512
          sha1
          md5
          outputHash
          outputHashAlgo
          ;
      };
      hashes =
        if given ? outputHash then
          given
        else if given == { } then
          { outputHash = lib.fakeHash; }
        else
          hashed given;
      mode = if recursiveHash || executable then "recursive" else "flat";
      plain = postFetch == "" && curlOpts == "" && curlOptsList == [ ] && builtins.length all == 1;
    in
    if plain then
      asPackage { inherit meta; passthru = passthru // { inherit url; urls = all; }; } (
        derivation (
          hashes
          // {
            name = fileName;
            system = "builtin";
            builder = "builtin:fetchurl";
            url = first;
            urls = all;
            outputHashMode = mode;
            inherit executable preferLocalBuild;
            unpack = false;
            inherit impureEnvVars;
          }
        )
      )
    else
      stdenvNoCC.mkDerivation (
        hashes
        // {
          name = fileName;
          urls = all;
          outputHashMode = mode;
          nativeBuildInputs = [ pkgs.curl ] ++ nativeBuildInputs;
          inherit
            postFetch
            executable
            downloadToTemp
            preferLocalBuild
            meta
            ;
          passthru = passthru // { inherit url; };
          curlOpts = "${curlOpts} ${lib.escapeShellArgs curlOptsList}";
          SSL_CERT_FILE = authorities;
          inherit impureEnvVars;
          buildCommand = ''
            downloadedFile=$out
            if [ -n "$downloadToTemp" ]; then downloadedFile=$TMPDIR/file; fi
            success=
            for url in $urls; do
              echo "trying $url"
              if eval "curl --location --max-redirs 20 --retry 3 --fail $curlOpts --output \"$downloadedFile\" \"$url\""; then
                success=1
                break
              fi
            done
            if [ -z "$success" ]; then
              echo "error: cannot download $name from any mirror" >&2
              exit 1
            fi
            if [ -n "$executable" ]; then chmod +x "$downloadedFile"; fi
            runHook postFetch
          '';
        }
      )
  );

  # An archive's contents; the hash is of the unpacked folder.
  fetchzip = lib.makeOverridable (
    {
      url ? "",
      urls ? [ ],
      name ? "source",
      hash ? "",
      sha256 ? "",
      stripRoot ? true,
      postFetch ? "",
      extension ? null,
      extraPostFetch ? "",
      nativeBuildInputs ? [ ],
      meta ? { },
      passthru ? { },
      ...
    }@args:
    let
      first = if urls != [ ] then builtins.head urls else url;
      file = if extension != null then "archive.${extension}" else baseNameOf first;
    in
    stdenvNoCC.mkDerivation (
      hashed (lib.filterAttrs (_: v: v != "") { inherit hash sha256; })
      // {
        inherit name meta;
        urls = if urls != [ ] then urls else [ url ];
        outputHashMode = "recursive";
        nativeBuildInputs = [
          pkgs.curl
          pkgs.unzip
          pkgs.zstd
        ]
        ++ nativeBuildInputs;
        passthru = passthru // { inherit url; };
        SSL_CERT_FILE = authorities;
        inherit impureEnvVars;
        inherit postFetch extraPostFetch;
        preferLocalBuild = true;
        buildCommand = ''
          success=
          for url in $urls; do
            echo "trying $url"
            if curl --location --max-redirs 20 --retry 3 --fail --output "$TMPDIR/${file}" "$url"; then
              success=1
              break
            fi
          done
          [ -n "$success" ] || { echo "error: cannot download $name from any mirror" >&2; exit 1; }
          mkdir "$TMPDIR/unpack"
          cd "$TMPDIR/unpack"
          unpackFile "$TMPDIR/${file}"
          chmod -R u+w .
          ${
            if stripRoot then
              ''
                shopt -s dotglob
                entries=(*)
                if [ "''${#entries[@]}" != 1 ]; then
                  echo "fetchzip: the archive has ''${#entries[@]} entries at its top, so there is no single folder to take;" >&2
                  echo "set stripRoot = false to have them all" >&2
                  exit 1
                fi
                mv "''${entries[0]}" "$out"
              ''
            else
              ''mv "$TMPDIR/unpack" "$out"''
          }
          runHook postFetch
          runHook extraPostFetch
          chmod 755 "$out"
        '';
      }
    )
  );

  fetchFromGitHub = forge (
    { owner, repo, ... }: reference: "https://github.com/${owner}/${repo}/archive/${reference}.tar.gz"
  ) "github.com";
  fetchFromGitLab = forge (
    { owner, repo, domain ? "gitlab.com", group ? null, ... }:
    reference:
    "https://${domain}/api/v4/projects/${lib.optionalString (group != null) "${group}%2F"}${owner}%2F${repo}/repository/archive.tar.gz?sha=${reference}"
  ) "gitlab.com";
  fetchFromSourcehut = forge (
    { owner, repo, domain ? "sr.ht", vc ? "git", ... }: reference: "https://${vc}.${domain}/${owner}/${repo}/archive/${reference}.tar.gz"
  ) "sr.ht";
  fetchFromGitea = forge (
    { domain, owner, repo, ... }: reference: "https://${domain}/${owner}/${repo}/archive/${reference}.tar.gz"
  ) "gitea";
  fetchFromForgejo = fetchFromGitea;
  fetchFromCodeberg = args: fetchFromGitea ({ domain = "codeberg.org"; } // args);
  fetchFromBitbucket = forge (
    { owner, repo, ... }: reference: "https://bitbucket.org/${owner}/${repo}/get/${reference}.tar.gz"
  ) "bitbucket.org";

  forge =
    makeUrl: host:
    lib.makeOverridable (
      {
        owner,
        repo,
        rev ? null,
        tag ? null,
        name ? "source",
        hash ? "",
        sha256 ? "",
        fetchSubmodules ? false,
        leaveDotGit ? false,
        deepClone ? false,
        postFetch ? "",
        meta ? { },
        passthru ? { },
        ...
      }@args:
      let
        reference =
          let
            given = builtins.filter (x: x != null) [
              rev
              tag
            ];
          in
          if builtins.length given == 1 then
            builtins.head given
          else
            throw "fetchFrom…: ${owner}/${repo} is wanted at a `rev` or at a `tag`; ${if given == [ ] then "neither is" else "both are"} given";
        domain = args.domain or host;
        common = {
          inherit name hash sha256 postFetch meta;
          passthru = passthru // {
            inherit owner repo tag;
            rev = if tag != null then "refs/tags/${tag}" else rev;
            gitRepoUrl = "https://${domain}/${owner}/${repo}.git";
          };
        };
      in
      if fetchSubmodules || leaveDotGit || deepClone then
        fetchgit (common // { url = common.passthru.gitRepoUrl; rev = reference; inherit fetchSubmodules leaveDotGit deepClone; })
      else
        fetchzip (common // { url = makeUrl args reference; extension = "tar.gz"; })
    );

  fetchgit = lib.makeOverridable (
    {
      url,
      rev ? "HEAD",
      tag ? null,
      hash ? "",
      sha256 ? "",
      name ? "source",
      fetchSubmodules ? true,
      deepClone ? false,
      leaveDotGit ? false,
      branchName ? null,
      sparseCheckout ? [ ],
      postFetch ? "",
      meta ? { },
      passthru ? { },
      ...
    }:
    stdenvNoCC.mkDerivation (
      hashed (lib.filterAttrs (_: v: v != "") { inherit hash sha256; })
      // {
        inherit name meta url postFetch;
        rev = if tag != null then "refs/tags/${tag}" else rev;
        outputHashMode = "recursive";
        nativeBuildInputs = [ pkgs.git ];
        passthru = passthru // { gitRepoUrl = url; };
        GIT_SSL_CAINFO = authorities;
        impureEnvVars = impureEnvVars ++ [ "GIT_PROXY_COMMAND" "SOCKS_SERVER" ];
        preferLocalBuild = true;
        buildCommand = ''
          git -c init.defaultBranch=main init --quiet "$out"
          cd "$out"
          git remote add origin "$url"
          git fetch --quiet ${lib.optionalString (!deepClone) "--depth=1"} origin "$rev" || { git fetch --quiet origin && git rev-parse --verify --quiet "$rev^{commit}" > .git/FETCH_HEAD; }
          git checkout --quiet FETCH_HEAD
          ${lib.optionalString fetchSubmodules "git submodule update --quiet --init --recursive"}
          ${lib.optionalString (!leaveDotGit) "find . -name .git -prune -exec rm -rf {} +"}
          runHook postFetch
        '';
      }
    )
  );

  # A patch without what may change between two downloads of it: its headers, and how its parts are ordered.
  fetchpatch =
    {
      name ? "",
      stripLen ? 0,
      extraPrefix ? null,
      revert ? false,
      includes ? [ ],
      excludes ? [ ],
      decode ? "cat",
      nativeBuildInputs ? [ ],
      postFetch ? "",
      ...
    }@args:
    let
      repeated = flag: map (value: "${flag}=${value}");
      # What is added before a path counts for the patterns too.
      strip = "--strip=${toString stripLen}";
      prefix = lib.optionals (extraPrefix != null) [
        "--addoldprefix=a/${extraPrefix}"
        "--addnewprefix=b/${extraPrefix}"
      ];
      select = lib.escapeShellArgs (repeated "-x" excludes ++ repeated "-i" includes);
      # `--include` and `--exclude` look at paths without their first part.
      filtered = "filterdiff -p1 ${select}";
    in
    if includes != [ ] && excludes != [ ] then
      throw "fetchpatch: give includes or excludes, not both"
    else
      fetchurl (
        removeAttrs args [
          "stripLen"
          "extraPrefix"
          "revert"
          "includes"
          "excludes"
          "decode"
        ]
        // {
          name = if name != "" then name else baseNameOf (args.url or (builtins.head args.urls));
          nativeBuildInputs = [ pkgs.patchutils ] ++ nativeBuildInputs;
          postFetch = ''
            patch_=$TMPDIR/patch
            ${decode} <"$out" >"$patch_"
            if [ ! -s "$patch_" ]; then
              echo "fetchpatch: what was downloaded from $urls is empty" >&2
              exit 1
            fi
            # Each file once, in the order of their names.
            lsdiff "$patch_" | sort -u | sed -e 's/[][*?\\]/\\&/g' >"$patch_.names"
            while IFS= read -r file_; do
              filterdiff --include="$file_" --clean ${
                lib.optionalString (stripLen != 0 || extraPrefix != null) (
                  lib.escapeShellArgs (lib.optional (stripLen != 0) strip ++ lib.optional (stripLen != 0 && extraPrefix == null) "--addoldprefix=a/" ++ lib.optional (stripLen != 0 && extraPrefix == null) "--addnewprefix=b/" ++ prefix)
                )
              } "$patch_"
            done <"$patch_.names" | ${filtered} >"$patch_.clean"
            if [ ! -s "$patch_.clean" ]; then
              echo "fetchpatch: nothing is left of the patch; is it one, and do includes and excludes leave a file?" >&2
              exit 1
            fi
            ${if revert then "interdiff \"$patch_.clean\" /dev/null >\"$out\"" else "cp \"$patch_.clean\" \"$out\""}
            ${postFetch}
          '';
        }
      );
  fetchpatch2 = fetchpatch;
}
