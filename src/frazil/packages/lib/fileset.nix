# File sets: which files of a folder belong to a source, kept as a tree until they are copied.
{ lib }:
let
  # A tree: "all" (a whole folder or file), null (nothing), or an attribute set of entries.
  inherit (builtins) attrNames isAttrs isPath mapAttrs readDir;
  make = base: tree: {
    _type = "fileset";
    _internalVersion = 3;
    _internalBase = base;
    _internalTree = tree;
    _noEval = throw ''
      lib.fileset: a file set was used where an ordinary value is needed; it has none.
        For a folder in the store, pass it to `lib.fileset.toSource`;
        to see what it holds, pass it to `lib.fileset.trace` or `lib.fileset.traceVal`.'';
  };
  emptySet = make null null;
  type = path: lib.filesystem.pathType path;
  entries = path: mapAttrs (_: kind: kind) (readDir path);
  expand = path: tree: if tree == "all" then mapAttrs (name: kind: "all") (entries path) else if tree == null then { } else tree;

  coerce =
    what: value:
    if value._type or "" == "fileset" then
      value
    else if value ? origSrc && value ? filter then
      fromSource value
    else if !isPath value then
      if lib.isStringLike value then
        throw ''
          lib.fileset.${what}: wanted a file set or a path, got the string "${toString value}".
              Write the path without quotes; for files that only a string names, see `lib.sources`.''
      else
        throw "lib.fileset.${what}: wanted a file set or a path, got a value of type ${builtins.typeOf value}."
    else if !builtins.pathExists value then
      throw ''
        lib.fileset.${what}: there is nothing at ${toString value}.
            If that is fine, wrap the path in `lib.fileset.maybeMissing`.''
    else
      singleton value;
  singleton = path: if type path == "directory" then make path "all" else make (dirOf path) { ${baseNameOf path} = "all"; };

  # The same set as seen from a folder above.
  rebase =
    base: set:
    let
      parts = components base set._internalBase;
    in
    if set._internalBase == null then null else lib.foldr (name: tree: if tree == null then null else { ${name} = tree; }) set._internalTree parts;
  components = above: below: if above == below then [ ] else components above (dirOf below) ++ [ (baseNameOf below) ];
  isAbove = above: below: above == below || (below != dirOf below && isAbove above (dirOf below));
  common = a: b: if isAbove a b then a else common (dirOf a) b;

  combine =
    f: a: b:
    if a._internalBase == null || b._internalBase == null then
      throw "lib.fileset: internal"
    else
      let
        base = common a._internalBase b._internalBase;
      in
      make base (f base (rebase base a) (rebase base b));

  unionTree =
    path: a: b:
    if a == "all" || b == "all" then
      "all"
    else if a == null then
      b
    else if b == null then
      a
    else
      lib.zipAttrsWith (name: trees: if builtins.length trees == 1 then builtins.head trees else unionTree (path + "/${name}") (builtins.elemAt trees 0) (builtins.elemAt trees 1)) [
        a
        b
      ];
  intersectTree =
    path: a: b:
    if a == "all" then
      b
    else if b == "all" then
      a
    else if a == null || b == null then
      null
    else
      mapAttrs (name: x: intersectTree (path + "/${name}") x b.${name}) (builtins.intersectAttrs b a);
  differenceTree =
    path: a: b:
    if a == null || b == "all" then
      null
    else if b == null then
      a
    else
      mapAttrs (name: x: differenceTree (path + "/${name}") x (b.${name} or null)) (expand path a);
  fromSource =
    source:
    let
      root = source.origSrc or source;
      filter = source.filter or (_: _: true);
      go =
        path: kind:
        if kind == "directory" then
          mapAttrs (name: inner: if filter (toString (path + "/${name}")) inner then go (path + "/${name}") inner else null) (readDir path)
        else
          "all";
    in
    if !isPath root then
      throw "lib.fileset.fromSource: the source was made from a value of type ${builtins.typeOf root}; only sources made from a path can be converted."
    else if type root == "directory" then
      make root (go root "directory")
    else
      singleton root;
  isEmptyTree = tree: tree == null || (isAttrs tree && builtins.all (name: isEmptyTree tree.${name}) (attrNames tree));
  contains =
    tree: parts:
    if tree == "all" then
      true
    else if tree == null then
      false
    else if parts == [ ] then
      !isEmptyTree tree
    else
      contains (tree.${builtins.head parts} or null) (builtins.tail parts);
  files =
    path: tree:
    if tree == null then
      [ ]
    else if tree == "all" && type path != "directory" then
      [ path ]
    else
      builtins.concatMap (name: files (path + "/${name}") (expand path tree).${name}) (attrNames (expand path tree));
  show =
    set:
    if set._internalBase == null || isEmptyTree set._internalTree then
      "(empty)"
    else
      let
        lines =
          path: tree: indent:
          builtins.concatMap (
            name:
            let
              inner = tree.${name};
              isDirectory = type (path + "/${name}") == "directory";
            in
            if isEmptyTree inner then
              [ ]
            else if inner == "all" then
              [ "${indent}- ${name}${if isDirectory then " (all files in directory)" else " (${type (path + "/${name}")})"}" ]
            else
              [ "${indent}- ${name}" ] ++ lines (path + "/${name}") inner (indent + "  ")
          ) (attrNames tree);
      in
      if set._internalTree == "all" then
        "${toString set._internalBase} (all files in directory)"
      else
        lib.concatStringsSep "\n" ([ (toString set._internalBase) ] ++ lines set._internalBase set._internalTree "");
  binary =
    f: name: a: b:
    let
      x = coerce "${name}: First argument" a;
      y = coerce "${name}: Second argument" b;
    in
    f x y;
in
rec {
  empty = emptySet;
  isFileset = value: value._type or "" == "fileset" || isPath value;
  maybeMissing = path: if !isPath path then throw "lib.fileset.maybeMissing: wanted a path, got a value of type ${builtins.typeOf path}." else if builtins.pathExists path then singleton path else emptySet;
  union = binary (
    a: b: if a._internalBase == null then b else if b._internalBase == null then a else combine unionTree a b
  ) "union";
  unions =
    list:
    if !builtins.isList list then
      throw "lib.fileset.unions: wanted a list of file sets, got a value of type ${builtins.typeOf list}."
    else
      lib.foldl' union emptySet (lib.imap0 (i: x: coerce "unions: Element ${toString i}" x) list);
  intersection = binary (
    a: b: if a._internalBase == null || b._internalBase == null then emptySet else combine intersectTree a b
  ) "intersection";
  difference = binary (
    a: b: if a._internalBase == null || b._internalBase == null then a else combine differenceTree a b
  ) "difference";
  fileFilter =
    predicate: path:
    let
      go =
        path: kind:
        if kind == "directory" then
          mapAttrs (name: go (path + "/${name}")) (readDir path)
        else if predicate {
          name = baseNameOf path;
          type = kind;
          hasExt = ext: lib.hasSuffix ".${ext}" (baseNameOf path);
        } then
          "all"
        else
          null;
    in
    if !lib.isFunction predicate then
      throw "lib.fileset.fileFilter: wanted a function of a file first, got a value of type ${builtins.typeOf predicate}."
    else if !isPath path then
      throw "lib.fileset.fileFilter: wanted a path second, got a value of type ${builtins.typeOf path}."
    else if type path == "directory" then
      make path (go path "directory")
    else
      make (dirOf path) { ${baseNameOf path} = go path (type path); };
  inherit fromSource;
  toList = set: let x = coerce "toList: Argument" set; in if x._internalBase == null then [ ] else files x._internalBase x._internalTree;
  toSource =
    {
      root,
      fileset,
    }:
    let
      set = coerce "toSource: `fileset`" fileset;
      below = components root set._internalBase;
      tree = if set._internalBase == null then null else if isAbove root set._internalBase then rebase root set else null;
      rootText = toString root;
      filter =
        path: _:
        contains tree (lib.splitString "/" (lib.removePrefix (lib.removeSuffix "/" rootText + "/") path));
    in
    if !isPath root then
      if lib.isStringLike root then
        throw ''
          lib.fileset.toSource: `root` must be a path, but is the string "${toString root}".
              Write it without quotes; for a folder that only a string names, see `lib.sources`.''
      else
        throw "lib.fileset.toSource: `root` must be a path, but is of type ${builtins.typeOf root}."
    else if !builtins.pathExists root then
      throw "lib.fileset.toSource: there is nothing at `root`, which is ${toString root}."
    else if type root != "directory" then
      throw ''
        lib.fileset.toSource: `root` must be a folder, but ${toString root} is a single file. You can
            - have the file in a folder of the store: `root = ${toString (dirOf root)};` with the file as `fileset`;
            - have the file by itself: no need for file sets, interpolate its path or call `builtins.path`.''
    else if set._internalBase != null && !isEmptyTree set._internalTree && !isAbove root set._internalBase then
      throw ''
        lib.fileset.toSource: files of `fileset` may lie in ${toString set._internalBase}, outside of the `root`, ${toString root}. You can
            - move `root` up to ${toString set._internalBase} or above: paths inside the result get longer;
            - take from `fileset` what is not below `root`: the result may lack those files.''
    else
      lib.sources.cleanSourceWith {
        name = "source";
        src = root;
        inherit filter;
      };
  trace = set: value: builtins.trace (show (coerce "trace: Argument" set)) value;
  traceVal = set: builtins.trace (show (coerce "traceVal: Argument" set)) set;
  gitTracked = gitTrackedWith { };
  gitTrackedWith =
    {
      recurseSubmodules ? false,
    }:
    path:
    let
      fetched =
        if builtins.pathExists (path + "/.git") then
          builtins.fetchGit {
            url = path;
            submodules = recurseSubmodules;
            shallow = true;
          }
        else
          throw "lib.fileset.gitTracked: ${toString path} has no `.git`: only the top of a Git working tree will do.";
      go =
        here: copy:
        mapAttrs (
          name: kind: if kind == "directory" then go (here + "/${name}") (copy + "/${name}") else "all"
        ) (readDir copy);
    in
    # Inside the store there is nothing but what git tracks.
    if lib.hasPrefix (builtins.storeDir + "/") (toString path) then singleton path else make path (go path fetched.outPath);
}
