# `formats`: for each format of settings a type, and a file made of a value of it. `writers`: programs made of a text.
{ lib, pkgs }:
let
  inherit (lib) types;
  inherit (pkgs) runCommandLocal writeText;
  # The value as JSON in a file, then a command that reads it as $valuePath.
  convert =
    tools: command: name: value:
    runCommandLocal name {
      nativeBuildInputs = tools;
      value = builtins.toJSON value;
      passAsFile = [ "value" ];
    } command;
  python = modules: pkgs.python3.withPackages (all: map (module: all.${module}) modules);
  nested =
    description: scalars:
    let
      value = types.oneOf (scalars ++ [ (types.attrsOf value) (types.listOf value) ]) // { inherit description; };
    in
    value;
  scalars = with types; [ bool int float str path ];
  # Of settings that have no nesting, a line each.
  atom = types.nullOr (types.oneOf (with types; [ bool int float str ])) // { description = "INI atom (null, bool, int, float or string)"; };
  atomOrList = duplicates: if duplicates then types.either atom (types.listOf atom) else atom;
in
{
  formats = {
    json =
      {
        indent ? 2,
      }:
      {
        type = types.nullOr (nested "JSON value" scalars) // { description = "JSON value"; };
        generate = convert [ pkgs.jq ] ''jq --indent ${toString indent} . "$valuePath" >"$out"'';
      };
    yaml = _: {
      type = types.nullOr (nested "YAML value" scalars) // { description = "YAML value"; };
      generate = convert [ (python [ "pyyaml" ]) ] ''
        python3 -c 'import json, sys, yaml; yaml.safe_dump(json.load(sys.stdin), sys.stdout, default_flow_style=False, allow_unicode=True)' \
          <"$valuePath" >"$out"
      '';
    };
    toml = _: {
      type = nested "TOML value" scalars;
      generate = convert [ (python [ "tomli-w" ]) ] ''
        python3 -c 'import json, sys, tomli_w; print(tomli_w.dumps(json.load(sys.stdin)), end="")' <"$valuePath" >"$out"
      '';
    };
    ini =
      {
        listsAsDuplicateKeys ? false,
        ...
      }@options:
      {
        type = types.attrsOf (types.attrsOf (atomOrList listsAsDuplicateKeys));
        generate = name: value: writeText name (lib.generators.toINI options value);
      };
    iniWithGlobalSection =
      {
        listsAsDuplicateKeys ? false,
        ...
      }@options:
      {
        type = types.submodule {
          freeformType = types.attrsOf (types.attrsOf (atomOrList listsAsDuplicateKeys));
        };
        generate = name: value: writeText name (lib.generators.toINIWithGlobalSection options value);
      };
    keyValue =
      {
        listsAsDuplicateKeys ? false,
        ...
      }@options:
      {
        type = types.attrsOf (atomOrList listsAsDuplicateKeys);
        generate = name: value: writeText name (lib.generators.toKeyValue options value);
      };
    gitIni = _: {
      type = types.attrsOf (types.attrsOf types.anything);
      generate = name: value: writeText name (lib.generators.toGitINI value);
    };
  };

  writers =
    let
      # A name with a slash is a place below the output: "/bin/x".
      script =
        {
          interpreter,
          check ? "",
        }:
        nameOrPath: text:
        let
          inside = lib.hasPrefix "/" nameOrPath;
          body = if builtins.isPath text || lib.isDerivation text then builtins.readFile text else text;
        in
        pkgs.writeTextFile (
          {
            name = lib.last (lib.splitString "/" nameOrPath);
            executable = true;
            text = "#! ${interpreter}\n${body}";
            checkPhase = check;
            meta.mainProgram = lib.last (lib.splitString "/" nameOrPath);
          }
          // lib.optionalAttrs inside { destination = nameOrPath; }
        );
      # Both forms: NAME TEXT, and NAME { libraries … } TEXT.
      plain = interpreter: name: first: if builtins.isAttrs first && !(lib.isDerivation first) then text: script { inherit interpreter; check = first.check or ""; } name text else script { inherit interpreter; } name first;
      bin = make: name: make "/bin/${name}";
      python3 =
        name:
        {
          libraries ? [ ],
          flakeIgnore ? [ ],
          doCheck ? true,
        }:
        let
          lint = pkgs.python3.withPackages (all: [ all.flake8 ]);
          ignored = lib.optionalString (flakeIgnore != [ ]) "--ignore ${lib.concatStringsSep "," flakeIgnore}";
        in
        script {
          interpreter =
            if libraries == [ ] then pkgs.python3.interpreter else (pkgs.python3.withPackages (_: libraries)).interpreter;
          check = lib.optionalString doCheck ''${lint}/bin/python3 -m flake8 --show-source ${ignored} "$target"'';
        } name;
      writers = rec {
        makeScriptWriter = script;
        makeScriptWriterBin = arguments: bin (script arguments);
        writeBash = plain (lib.getExe pkgs.bash);
        writeBashBin = bin writeBash;
        writeDash = plain (lib.getExe pkgs.dash);
        writeDashBin = bin writeDash;
        writeFish = plain "${lib.getExe pkgs.fish} --no-config";
        writeFishBin = bin writeFish;
        writePython3 = python3;
        writePython3Bin = bin python3;
        writeText = pkgs.writeText;
        writeJSON = (pkgs.formats.json { }).generate;
        writeYAML = (pkgs.formats.yaml { }).generate;
        writeTOML = (pkgs.formats.toml { }).generate;
      };
    in
    writers;

  # What a set of store paths needs: the paths themselves, and what registers them in a store's database.
  closureInfo =
    { rootPaths }:
    pkgs.runCommand "closure-info"
      {
        __structuredAttrs = true;
        exportReferencesGraph.closure = rootPaths;
        nativeBuildInputs = [ pkgs.jq ];
        preferLocalBuild = true;
      }
      ''
        mkdir "$out"
        jq --raw-output '.closure | map(.narSize) | add' "$NIX_ATTRS_JSON_FILE" >"$out/total-nar-size"
        jq --raw-output '.closure[].path' "$NIX_ATTRS_JSON_FILE" | sort >"$out/store-paths"
        jq --raw-output '
          .closure[] | .path, .narHash, .narSize, "", (.references | length), .references[]
        ' "$NIX_ATTRS_JSON_FILE" >"$out/registration"
      '';
}
