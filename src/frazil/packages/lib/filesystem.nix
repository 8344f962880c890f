{ lib }:
rec {
  inherit (builtins) readDir hashFile isPath baseNameOf dirOf;
  pathType =
    path:
    if builtins ? readFileType then
      if !builtins.pathExists path then throw "lib.filesystem.pathType: Path ${toString path} does not exist." else builtins.readFileType path
    else if toString path == "/" then
      "directory"
    else
      (builtins.readDir (dirOf path)).${baseNameOf path};
  readFileType = builtins.readFileType or pathType;
  pathIsDirectory = path: builtins.pathExists path && pathType path == "directory";
  pathIsRegularFile = path: builtins.pathExists path && pathType path == "regular";
  listFilesRecursive =
    directory:
    lib.flatten (
      lib.mapAttrsToList (
        name: type: if type == "directory" then listFilesRecursive (directory + "/${name}") else directory + "/${name}"
      ) (builtins.readDir directory)
    );
  locateDominatingFile =
    pattern: file:
    let
      go =
        path:
        let
          matches = builtins.filter (x: x != null) (map (builtins.match pattern) (builtins.attrNames (builtins.readDir path)));
        in
        if matches == [ ] then
          (if path != /. then go (dirOf path) else null)
        else
          { inherit path matches; };
      parent = dirOf file;
      type = (builtins.readDir parent).${baseNameOf file} or null;
    in
    if file == /. then go file else go (if type == "directory" then file else parent);
  resolveDefaultNix = x: if pathIsDirectory x then x + "/default.nix" else x;
  packagesFromDirectoryRecursive =
    {
      callPackage,
      directory,
      newScope ? null,
      recurseIntoDirectory ? (processDir: args: processDir args),
      ...
    }@args:
    let
      default = directory + "/package.nix";
      entry =
        name: type:
        let
          path = directory + "/${name}";
        in
        if type == "directory" then
          { ${name} = packagesFromDirectoryRecursive (args // { directory = path; }); }
        else if type == "regular" && lib.hasSuffix ".nix" name then
          { ${lib.removeSuffix ".nix" name} = callPackage path { }; }
        else
          { };
    in
    if builtins.pathExists default then callPackage default { } else lib.concatMapAttrs entry (builtins.readDir directory);
  haskellPathsInDir =
    root:
    let
      entries = builtins.readDir root;
      candidates = builtins.filter (name: entries.${name} == "directory" && builtins.pathExists (root + "/${name}/${name}.cabal")) (builtins.attrNames entries);
    in
    lib.genAttrs candidates (name: root + "/${name}");
}
