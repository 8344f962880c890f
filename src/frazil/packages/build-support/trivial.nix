# Small builders: a command, a text, a script, links.
{
  lib,
  config,
  stdenv,
  stdenvNoCC,
  runtimeShell,
  bash,
  pkgs,
}:
let
  inherit (lib) optionalAttrs optionalString;
  # Of what is a changed source and nothing else.
  sourcePhases = map (step: step + "Phase") [
    "unpack"
    "patch"
    "install"
  ];
  # The builders below, seen from here.
  inherit (builders) runCommandWith writeTextFile;
  commandIn =
    stdenv: how: name: derivationArgs:
    runCommandWith ({ inherit name stdenv derivationArgs; } // how);
  # A text, and what `more` says of a file of its name.
  file = more: name: text: writeTextFile (more name // { inherit name text; });
  program = name: {
    destination = "/bin/" + name;
    executable = true;
  };
  # The same of a script for the set's own shell, its syntax checked.
  syntaxCheck = ''${stdenv.shell} -n -O extglob "$target"'';
  shellText =
    more: name: text:
    file (name: more name // { checkPhase = syntaxCheck; }) name "#!${runtimeShell}\n${text}\n";
  builders = rec {
  runCommandWith =
    let
      defaultStdenv = stdenv;
    in
    {
      stdenv ? defaultStdenv,
      runLocal ? false,
      derivationArgs ? { },
      name,
    }:
    buildCommand:
    stdenv.mkDerivation (
      {
        inherit name buildCommand;
        passAsFile = [ "buildCommand" ] ++ (derivationArgs.passAsFile or [ ]);
      }
      // {
        enableParallelBuilding = true;
      }
      // optionalAttrs runLocal {
        allowSubstitutes = false;
        preferLocalBuild = true;
      }
      // removeAttrs derivationArgs [ "passAsFile" ]
      // optionalAttrs (!(derivationArgs ? pos)) {
        pos = builtins.unsafeGetAttrPos "name" { inherit name; };
      }
    );
  runCommand = commandIn stdenvNoCC { };
  runCommandLocal = commandIn stdenvNoCC { runLocal = true; };
  runCommandCC = commandIn stdenv { };
  runCommandNoCC = commandIn stdenvNoCC { };

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      destination ? "",
      checkPhase ? "",
      meta ? { },
      passthru ? { },
      allowSubstitutes ? false,
      preferLocalBuild ? true,
      derivationArgs ? { },
    }:
    let
      relative = builtins.match "/bin/([^/]+)" destination;
    in
    assert lib.assertMsg (destination != "" -> (lib.hasPrefix "/" destination && destination != "/")) ''
      destination must be an absolute path, relative to the derivation's out path,
      got '${destination}' instead.
    '';
    runCommand name
      (
        {
          inherit
            text
            executable
            checkPhase
            allowSubstitutes
            preferLocalBuild
            destination
            ;
          passAsFile = [ "text" ] ++ (derivationArgs.passAsFile or [ ]);
          meta =
            optionalAttrs (executable && relative != null) {
              mainProgram = lib.head relative;
            }
            // meta
            // (derivationArgs.meta or { });
          passthru = passthru // (derivationArgs.passthru or { });
        }
        // removeAttrs derivationArgs [
          "passAsFile"
          "meta"
          "passthru"
        ]
      )
      ''
        target=$out''${destination:-}
        mkdir -p "$(dirname "$target")"
        # With structured attributes there is no file with the text.
        if [ -e "''${textPath:-}" ]; then cp "$textPath" "$target"; else printf '%s' "$text" >"$target"; fi
        if [ -n "''${executable:-}" ]; then chmod 755 "$target"; fi
        eval "''${checkPhase:-}"
      '';
  writeText = file (_: { });
  writeTextDir = path: file (_: { destination = "/" + path; }) (baseNameOf path);
  writeScript = file (_: { executable = true; });
  writeScriptBin = file program;
  writeShellScript = name: shellText (_: { executable = true; }) name;
  writeShellScriptBin = shellText (name: program name // { meta.mainProgram = name; });
  writeShellApplication =
    {
      name,
      text,
      runtimeInputs ? [ ],
      runtimeEnv ? null,
      meta ? { },
      passthru ? { },
      checkPhase ? null,
      excludeShellChecks ? [ ],
      extraShellCheckFlags ? [ ],
      bashOptions ? [
        "errexit"
        "nounset"
        "pipefail"
      ],
      derivationArgs ? { },
      inheritPath ? true,
    }:
    writeTextFile {
      inherit name passthru derivationArgs;
      meta = { mainProgram = name; } // meta;
      inherit (program name) destination executable;
      preferLocalBuild = false;
      allowSubstitutes = true;
      text = ''
        #!${runtimeShell}
        ${lib.concatStringsSep "\n" (map (name: "set -o " + name) bashOptions)}
      ''
      + optionalString (runtimeEnv != null) (
        lib.concatStrings (
          lib.mapAttrsToList (variable: value: ''
            ${lib.toShellVar variable value}
            export ${variable}
          '') runtimeEnv
        )
      )
      + optionalString (runtimeInputs != [ ]) ''

        export PATH="${lib.makeBinPath runtimeInputs}${optionalString inheritPath ":$PATH"}"
      ''
      + ''

        ${text}
      '';
      # The syntax is always checked; shellcheck takes part where the package set has it.
      checkPhase =
        if checkPhase != null then
          checkPhase
        else
          ''
            runHook preCheck
            ${syntaxCheck}
          ''
          + optionalString (pkgs ? shellcheck) ''
            ${pkgs.shellcheck}/bin/shellcheck ${
              lib.escapeShellArgs (
                lib.optionals (excludeShellChecks != [ ]) [
                  "--exclude"
                  (lib.concatStringsSep "," excludeShellChecks)
                ]
                ++ extraShellCheckFlags
              )
            } "$target"
          ''
          + ''
            runHook postCheck
          '';
    };
  concatTextFile =
    {
      name,
      files,
      executable ? false,
      destination ? "",
      checkPhase ? "",
      meta ? { },
      passthru ? { },
    }:
    runCommandLocal name
      {
        inherit
          files
          executable
          checkPhase
          meta
          passthru
          destination
          ;
      }
      ''
        target=$out$destination
        install -D -m "$([ -n "$executable" ] && echo 755 || echo 644)" /dev/stdin "$target" < <(cat -- $files)
        # What a check calls the file.
        file=$target
        eval "$checkPhase"
      '';
  concatText =
    name: files:
    concatTextFile {
      executable = false;
      inherit files name;
    };
  concatScript =
    name: files:
    concatTextFile {
      inherit name files;
      executable = true;
    };

  # One folder of links to the contents of several packages.
  buildEnv =
    lib.makeOverridable (
      {
        paths,
        manifest ? "",
        extraOutputsToInstall ? [ ],
        ignoreCollisions ? false,
        checkCollisionContents ? true,
        extraPrefix ? "",
        pathsToLink ? [ "/" ],
        includeClosures ? false,
        nativeBuildInputs ? [ ],
        buildInputs ? [ ],
        postBuild ? "",
        passthru ? { },
        meta ? { },
        pname ? null,
        version ? null,
        name ?
          if pname == null || version == null then
            throw "buildEnv: give a `name`, or `pname` and `version`"
          else
            "${pname}-${version}",
      }:
      let
        flatten =
          drv:
          if lib.isDerivation drv && drv.outputSpecified or false == false then
            map (output: drv.${output}) (
              lib.unique ((drv.meta.outputsToInstall or [ "out" ]) ++ builtins.filter (output: drv ? ${output}) extraOutputsToInstall)
            )
          else
            [ drv ];
        priority = path: toString (path.meta.priority or lib.meta.defaultPriority);
        given = builtins.filter (x: x != null) (lib.flatten paths);
        chosen = lib.concatMap (path: map (output: "${output}:${priority path}") (flatten path)) given;
      in
      runCommand name
        {
          inherit
            ignoreCollisions
            checkCollisionContents
            pathsToLink
            extraPrefix
            postBuild
            nativeBuildInputs
            buildInputs
            manifest
            meta
            ;
          passthru = passthru // { inherit paths; };
          chosen = lib.concatStringsSep "\n" chosen;
          passAsFile = [ "chosen" ];
          preferLocalBuild = true;
          allowSubstitutes = false;
          linker = ./build-env.sh;
        }
        ''
          ${optionalString includeClosures ''
            # All that the paths need comes too, and yields to them.
            while IFS= read -r path_; do
              if [ -d "$path_" ]; then printf '\n%s:1000' "$path_" >>"$chosenPath"; fi
            done <${pkgs.writeClosure given}
          ''}
          source "$linker"
          eval "$postBuild"
        ''
    );
  symlinkJoin =
    args_@{
      name ?
        assert lib.assertMsg (args_ ? pname && args_ ? version) "symlinkJoin requires either a `name` OR `pname` and `version`";
        "${args_.pname}-${args_.version}",
      paths,
      stripPrefix ? "",
      preferLocalBuild ? true,
      allowSubstitutes ? false,
      postBuild ? "",
      failOnMissing ? stripPrefix == "",
      ...
    }:
    let
      args = removeAttrs args_ [
        "name"
        "postBuild"
        "stripPrefix"
        "paths"
        "failOnMissing"
      ];
    in
    runCommand name
      (
        args
        // {
          inherit allowSubstitutes preferLocalBuild;
          chosen = lib.concatMapStringsSep "\n" (path: "${path}${stripPrefix}:5") (
            builtins.filter (x: x != null) (lib.flatten paths)
          );
          passAsFile = [ "chosen" ];
          extraPrefix = "";
          pathsToLink = "/";
          # As lndir does: the first of several files stays.
          ignoreCollisions = true;
          checkCollisionContents = true;
          linkFolders = false;
          failOnMissing = failOnMissing;
          linker = ./build-env.sh;
        }
      )
      ''
        source "$linker"
        ${postBuild}
      '';
  linkFarm =
    name: entries:
    let
      pairs = if builtins.isAttrs entries then lib.mapAttrsToList (name: path: { inherit name path; }) entries else entries;
      # As in nixpkgs: of two entries with one name the last counts.
      unique = builtins.listToAttrs (map ({ name, path }: lib.nameValuePair name path) pairs);
      links = lib.concatMap (name: [
        name
        "${unique.${name}}"
      ]) (builtins.attrNames unique);
    in
    runCommand name
      {
        preferLocalBuild = true;
        allowSubstitutes = false;
        passthru.entries = unique;
      }
      ''
        mkdir "$out"
        cd "$out"
        set -- ${lib.escapeShellArgs links}
        while (($#)); do
          if [[ "$1" == */* ]]; then mkdir -p -- "''${1%/*}"; fi
          ln -s -- "$2" "$1"
          shift 2
        done
      '';
  linkFarmFromDrvs = name: drvs: linkFarm name (map (drv: { inherit (drv) name; path = drv; }) drvs);
  onlyBin =
    package:
    runCommand "${package.name}-only-bin" { programs = "${lib.getBin package}/bin"; } ''
      mkdir "$out"
      ln -s "$programs" "$out"/bin
    '';
  emptyFile = runCommand "empty-file" { } "touch $out";
  emptyDirectory = runCommand "empty-directory" { } "mkdir $out";
  copyPathToStore = path: builtins.path { inherit path; };
  applyPatches =
    {
      src,
      name ? (if builtins.isPath src then baseNameOf src else src.name or "source") + "-patched",
      patches ? [ ],
      prePatch ? "",
      postPatch ? "",
      ...
    }@args:
    stdenvNoCC.mkDerivation (
      {
        allowSubstitutes = false;
        preferLocalBuild = true;
        inherit
          patches
          postPatch
          prePatch
          src
          name
          ;
        phases = sourcePhases;
        installPhase = ''cp -r . "$out"'';
      }
      // removeAttrs args [
        "src"
        "name"
        "patches"
        "prePatch"
        "postPatch"
      ]
    );
  makeSetupHook =
    {
      name ? "hook",
      propagatedBuildInputs ? [ ],
      propagatedNativeBuildInputs ? [ ],
      depsTargetTargetPropagated ? [ ],
      meta ? { },
      passthru ? { },
      substitutions ? { },
    }:
    script:
    runCommand name
      (
        substitutions
        // {
          strictDeps = true;
          inherit
            propagatedBuildInputs
            propagatedNativeBuildInputs
            depsTargetTargetPropagated
            meta
            passthru
            ;
        }
      )
      ''
        install -D -m 644 ${script} "$out/nix-support/setup-hook"
        _recordPropagated
        ${lib.concatStrings (lib.mapAttrsToList (name: value: ''
          substituteInPlace $out/nix-support/setup-hook --replace-quiet ${lib.escapeShellArg "@${name}@"} ${lib.escapeShellArg (toString value)}
        '') substitutions)}
      '';
  # A file with every @name@ replaced.
  substitute =
    args@{ src, substitutions ? [ ], replacements ? [ ], ... }:
    runCommandLocal (args.name or (baseNameOf (toString src))) { inherit src; } ''
      substitute "$src" "$out" ${lib.escapeShellArgs (substitutions ++ replacements)}
      if [ -x "$src" ]; then chmod +x "$out"; fi
    '';
  replaceVarsWith =
    {
      src,
      replacements,
      name ? baseNameOf (toString src),
      dir ? null,
      isExecutable ? false,
      ...
    }@args:
    let
      kept = builtins.filter (key: replacements.${key} == null) (builtins.attrNames replacements);
      words = lib.concatMap (key: if replacements.${key} == null then [ ] else [
        "--replace-fail"
        "@${key}@"
        (toString replacements.${key})
      ]) (builtins.attrNames replacements);
      except = lib.concatMapStringsSep "|" lib.escapeRegex kept;
    in
    runCommandLocal name (removeAttrs args [ "src" "replacements" "name" "dir" "isExecutable" ] // { inherit src; }) ''
      target=$out${optionalString (dir != null) "/${dir}/${name}"}
      mkdir -p "$(dirname "$target")"
      substitute "$src" "$target" ${lib.escapeShellArgs words}
      ${optionalString isExecutable "chmod +x \"$target\""}
      if grep -oE '@[a-zA-Z_][0-9A-Za-z_'"'"'-]*@' "$target" ${optionalString (kept != [ ]) "| grep -vE '^@(${except})@$'"}; then
        echo "unsubstituted variables found in $target" >&2
        exit 1
      fi
    '';
  replaceVars = src: replacements: replaceVarsWith { inherit src replacements; };
  substituteAll =
    args:
    runCommandLocal (args.name or (baseNameOf (toString args.src))) (removeAttrs args [ "name" "dir" "isExecutable" ]) ''
      target=$out${optionalString (args ? dir) "/${args.dir}/${args.name or (baseNameOf (toString args.src))}"}
      mkdir -p "$(dirname "$target")"
      substituteAll "$src" "$target"
      ${optionalString (args.isExecutable or false) "chmod +x \"$target\""}
    '';
  writeClosure = paths: runCommand "runtime-deps" { __structuredAttrs = true; exportReferencesGraph.graph = paths; nativeBuildInputs = [ pkgs.jq ]; } ''
    jq --raw-output '[.graph[].path] | sort[]' "$NIX_ATTRS_JSON_FILE" >"$out"
  '';
  runtimeShellPackage = bash;
  srcOnly =
    attrs:
    let
      args = if lib.isDerivation attrs then attrs.drvAttrs else attrs;
    in
    stdenvNoCC.mkDerivation {
      name = "${args.name or "${args.pname}-${args.version}"}-source";
      inherit (args) src;
      patches = args.patches or [ ];
      phases = sourcePhases;
      installPhase = ''cp -r . "$out"'';
    };
  testers = {
    testEqualContents =
      {
        assertion,
        expected,
        actual,
      }:
      runCommand "equal-contents-${lib.strings.toLower assertion}" { inherit assertion expected actual; } ''
        echo "$assertion?"
        if ! diff -U5 -r "$expected" "$actual" --color=never; then
          echo "$actual is not as $expected: see above" >&2
          exit 1
        fi
        touch $out
      '';
    runCommand = { name, script, nativeBuildInputs ? [ ], ... }: runCommand name { inherit nativeBuildInputs; } script;
  };
  };
in
builders
