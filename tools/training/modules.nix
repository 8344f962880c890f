# Configurations: many modules with options of all common types, conditions, priorities, submodules, assertions.
let
  lib = import ../../src/frazil/packages/lib;
  inherit (lib) mkOption mkIf mkMerge mkForce mkDefault types;

  account = types.submodule (
    { name, config, ... }:
    {
      options = {
        name = mkOption { type = types.str; };
        uid = mkOption { type = types.nullOr types.int; default = null; };
        home = mkOption { type = types.str; };
        groups = mkOption { type = types.listOf types.str; default = [ ]; };
        shell = mkOption { type = types.enum [ "bash" "zsh" "none" ]; default = "bash"; };
        locked = mkOption { type = types.bool; default = false; description = "Whether nobody may log in."; };
      };
      config = mkMerge [
        { inherit name; home = mkDefault "/home/${name}"; }
        (mkIf config.locked { shell = mkForce "none"; })
        (mkIf (config.uid != null && config.uid < 1000) { groups = [ "system" ]; })
      ];
    }
  );

  service =
    index:
    { config, lib, ... }:
    let
      key = "service${toString index}";
      own = config.services.${key};
    in
    {
      options.services.${key} = {
        enable = lib.mkEnableOption "service number ${toString index}";
        port = mkOption { type = types.ints.between 1 65535; default = 8000 + index; };
        environment = mkOption { type = types.attrsOf (types.either types.str types.int); default = { }; };
        after = mkOption { type = types.listOf types.str; default = [ ]; };
        settings = mkOption { type = types.attrsOf (types.attrsOf types.str); default = { }; };
        text = mkOption { type = types.lines; default = ""; };
      };
      config = mkIf own.enable {
        accounts.${key} = {
          uid = 300 + index;
          locked = index > 3;
        };
        units."${key}.service" = {
          text = ''
            [Service]
            Environment=${lib.concatStringsSep " " (lib.mapAttrsToList (n: v: "${n}=${toString v}") own.environment)}
            After=${lib.concatStringsSep " " own.after}
            ${own.text}
          '';
          wanted = own.after;
        };
        ports = [ own.port ];
        services.${key} = {
          environment = { INDEX = index; NAME = key; } // lib.optionalAttrs (index > 5) { MANY = "yes"; };
          after = lib.optional (index > 0) "service${toString (index - 1)}.service" ++ [ "network.target" ];
          text = lib.mkBefore "# first";
        };
      };
    };

  base = {
    options = {
      accounts = mkOption { type = types.attrsOf account; default = { }; };
      ports = mkOption { type = types.listOf types.port; default = [ ]; apply = lib.unique; };
      assertions = mkOption { type = types.listOf types.unspecified; default = [ ]; internal = true; };
      units = mkOption {
        default = { };
        type = types.attrsOf (
          types.submodule {
            options.text = mkOption { type = types.lines; };
            options.wanted = mkOption { type = types.listOf types.str; default = [ ]; };
          }
        );
      };
    };
  };

  site =
    { config, ... }:
    {
      imports = [ base ];
      services = lib.genAttrs (map (n: "service${toString n}") (lib.range 0 39)) (name: {
        enable = mkDefault true;
        settings.main.name = name;
        settings.main.level = "info";
      });
      accounts = lib.listToAttrs (
        map (n: lib.nameValuePair "person${toString n}" { uid = 1000 + n; groups = [ "users" ]; }) (lib.range 1 25)
      );
      assertions = lib.mapAttrsToList (n: v: {
        assertion = v.home != "" && builtins.isString v.name;
        message = "account ${n} has no home";
      }) config.accounts;
    };

  result = lib.evalModules {
    modules = [ site ] ++ map service (lib.range 0 39);
    specialArgs.hostName = "trained";
  };
  failed = lib.filter (a: !a.assertion) result.config.assertions;
in
assert failed == [ ];
builtins.hashString "sha256" (builtins.toJSON { inherit (result.config) accounts services units ports; })
