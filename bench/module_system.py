"""A module system of real size for `run.py`: home-manager's modules, all their options and a small configuration.

In: a checkout of home-manager, one of nixpkgs' `lib`. Out: a file to evaluate. home-manager asks for packages and for a
few modules of nixpkgs; what stands in for them here has the right names and no content, so that both programs evaluate
the same modules without nixpkgs itself.
"""

from __future__ import annotations

import re
from pathlib import Path

# Attributes of the package set that are no packages.
OTHERS = {
    *("appendOverlays", "buildEnv", "buildPackages", "callPackage", "config", "emacsPackages", "extend", "formats"),
    *("lib", "mkShellNoCC", "nixosOptionsDoc", "overlays", "path", "replaceVars", "runCommand", "runCommandLocal"),
    *("stdenv", "substituteAll", "symlinkJoin", "system", "tmuxPlugins", "vimPlugins", "writeShellScript"),
    *("writeShellScriptBin", "writeText", "writeTextFile"),
}
COMPUTED = {"emptyDirectory", "equibop", "vesktop"}
PACKAGE = re.compile(r'pkgs\.([A-Za-z_][\w-]*)|mkPackageOption\s+pkgs\s+"([\w-]+)"')

PACKAGES = """
arguments:
let
  lib = import @LIB@;
  package = name: {
    inherit name;
    type = "derivation";
    pname = name;
    version = "1.0";
    outputs = [ "out" ];
    outputName = "out";
    outPath = "/nix/store/00000000000000000000000000000000-${name}";
    drvPath = "/nix/store/00000000000000000000000000000000-${name}.drv";
    meta = { mainProgram = name; description = name; };
    override = _: package name;
    overrideAttrs = _: package name;
  };
  written = name: text: package name;
  run = name: variables: script: package name;
  named = set: package set.name;
  format = arguments: {
    type = lib.types.nullOr (lib.types.attrsOf lib.types.anything) // { description = "settings"; };
    lib.types.atom = lib.types.anything;
    generate = file: value: package file;
  };
  formats = [
    "configobj" "elixirConf" "gitIni" "hocon" "ini" "iniWithGlobalSection" "javaProperties" "json" "keyValue"
    "libconfig" "lua" "nixConf" "php" "plist" "pythonVars" "systemd" "toml" "xml" "yaml" "yaml_1_2"
  ];
  pkgs = lib.genAttrs [ @NAMES@ ] package // {
    inherit lib;
    formats = lib.genAttrs formats (_: format);
    path = ./.;
    config = { };
    overlays = [ ];
    system = "x86_64-linux";
    stdenv.hostPlatform = lib.systems.elaborate "x86_64-linux";
    extend = _: pkgs;
    appendOverlays = _: pkgs;
    buildPackages = pkgs;
    writeText = written;
    writeShellScript = written;
    writeShellScriptBin = written;
    replaceVars = _: _: package "text";
    runCommand = run;
    runCommandLocal = run;
    writeTextFile = named;
    symlinkJoin = named;
    buildEnv = named;
    substituteAll = _: package "text";
    mkShellNoCC = _: package "shell";
    callPackage = _: _: package "called";
    nixosOptionsDoc = _: { optionsJSON = package "options"; };
    vimPlugins = { };
    tmuxPlugins = { };
    emacsPackages = { };
  };
in
pkgs
"""

# Modules and functions of nixpkgs that are no part of its `lib`.
FILES = {
    "nixos/modules/misc/assertions.nix": """
{ lib, ... }: {
  options.assertions = lib.mkOption { type = lib.types.listOf lib.types.unspecified; default = [ ]; internal = true; };
  options.warnings = lib.mkOption { type = lib.types.listOf lib.types.str; default = [ ]; internal = true; };
}
""",
    "nixos/modules/misc/meta.nix": """
{ lib, ... }: {
  options.meta = lib.mkOption { type = lib.types.attrsOf lib.types.unspecified; default = { }; internal = true; };
}
""",
    "lib/services/lib.nix": """
{ lib }: {
  configure = _: {
    serviceSubmodule = lib.types.submodule { freeformType = lib.types.attrsOf lib.types.unspecified; };
  };
  getWarnings = _: _: [ ];
  getAssertions = _: _: [ ];
}
""",
    "nixos/modules/system/service/systemd/service.nix": "{ ... }: { }\n",
}

EVALUATION = """
let
  pkgs = import @PACKAGES@ { };
  inherit (pkgs) lib;
  home = import @CHECKOUT@/modules {
    inherit pkgs lib;
    configuration = {
      home = {
        username = "someone";
        homeDirectory = "/home/someone";
        stateVersion = "25.11";
        sessionVariables.EDITOR = "vim";
        sessionPath = [ "$HOME/bin" ];
        shellAliases.ll = "ls -l";
        packages = [ pkgs.hello ];
        file."notes.txt".text = "notes";
      };
      manual.manpages.enable = false;
      programs = {
        git = {
          enable = true;
          settings.user = { name = "Some One"; email = "some@example.org"; };
          ignores = [ "*.o" ];
        };
        bash = { enable = true; shellAliases.gs = "git status"; initExtra = "set -o vi"; };
        ssh = { enable = true; enableDefaultConfig = false; settings.host.hostname = "example.org"; };
        tmux = { enable = true; baseIndex = 1; };
        fzf.enable = true;
        starship.enable = true;
        direnv.enable = true;
      };
      systemd.user.services.thing = {
        Unit.Description = "A thing";
        Service.ExecStart = "/bin/true";
        Install.WantedBy = [ "default.target" ];
      };
      xdg.enable = true;
    };
  };
  plain = option: [ option.name option.description option.internal option.visible option.readOnly option.type ];
  documented = map plain (lib.optionAttrSetToDocList home.options);
  digest = text: builtins.hashString "sha256" (toString text);
in
{
  options = builtins.length documented;
  documentation = digest (lib.concatMap (map toString) documented);
  files = builtins.mapAttrs (name: file: digest file.text) home.config.home.file;
  activation = builtins.mapAttrs (name: entry: digest entry.data) home.config.home.activation;
  variables = home.config.home.sessionVariables;
  bash = digest home.config.programs.bash.initExtra;
  services = home.config.systemd.user.services;
  assertions = builtins.length home.config.assertions;
}
"""


def package_names(checkout: Path) -> list[str]:
    """All that the modules may take from the package set."""
    found = set(COMPUTED)
    for file in checkout.rglob("*.nix"):
        found.update(first or second for first, second in PACKAGE.findall(file.read_text(errors="replace")))
    return sorted(found - OTHERS)


def write_evaluation(folder: Path, checkout: Path, lib: Path) -> Path:
    """The file to evaluate; what it needs lies beside it in `folder`."""
    packages = folder / "packages"
    for name, text in FILES.items():
        file = packages / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    names = " ".join(f'"{name}"' for name in package_names(checkout))
    (packages / "default.nix").write_text(PACKAGES.replace("@LIB@", str(lib)).replace("@NAMES@", names))
    file = folder / "home-manager.nix"
    file.write_text(EVALUATION.replace("@PACKAGES@", str(packages)).replace("@CHECKOUT@", str(checkout)))
    return file
