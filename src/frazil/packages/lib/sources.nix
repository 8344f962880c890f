{ lib }:
let
  asCleanSource =
    src:
    if src._isLibCleanSourceWith or false then
      src
    else
      {
        origSrc = src;
        filter = _: _: true;
        name = "source";
      };
in
rec {
  inherit (lib.filesystem) pathType pathIsDirectory pathIsRegularFile;
  canCleanSource = src: if src ? _isLibCleanSourceWith then true else !pathHasContext (toString src);
  pathHasContext = builtins.hasContext or (lib.hasPrefix builtins.storeDir);

  # What version control, editors and Nix leave behind is no source.
  cleanSourceFilter =
    name: type:
    let
      base = baseNameOf (toString name);
      vcs = base == ".git" || (type == "directory" && builtins.elem base [ ".svn" "CVS" ".hg" ".jj" ".pijul" "_darcs" ]);
      backup = lib.hasSuffix "~" base || builtins.match "^\\.sw[a-z]$" base != null || builtins.match "^\\..*\\.sw[a-z]$" base != null;
      object = lib.hasSuffix ".o" base || lib.hasSuffix ".so" base;
      result = type == "symlink" && lib.hasPrefix "result" base;
    in
    !(vcs || backup || object || result || type == "unknown");
  cleanSource = filterSource cleanSourceFilter;
  cleanSourceWith =
    {
      filter ? (_: _: true),
      src,
      name ? null,
    }:
    let
      origin = asCleanSource src;
    in
    fromParts {
      inherit (origin) origSrc;
      filter = path: type: filter path type && origin.filter path type;
      name = if name != null then name else origin.name;
    };
  fromParts =
    {
      origSrc,
      filter,
      name,
    }:
    {
      inherit origSrc filter name;
      outPath = builtins.path {
        inherit filter name;
        path = origSrc;
      };
      _isLibCleanSourceWith = true;
    };
  filterSource = filter: src: cleanSourceWith { inherit filter src; };
  sourceByRegex =
    src: patterns:
    let
      origin = asCleanSource src;
      root = toString origin.origSrc;
    in
    cleanSourceWith {
      inherit src;
      filter =
        path: type:
        let
          relative = lib.removePrefix (root + "/") (toString path);
        in
        builtins.any (pattern: builtins.match pattern relative != null) patterns;
    };
  sourceFilesBySuffices =
    src: suffixes:
    cleanSourceWith {
      inherit src;
      filter = path: type: type == "directory" || builtins.any (suffix: lib.hasSuffix suffix (baseNameOf path)) suffixes;
    };
  trace =
    src:
    let
      origin = asCleanSource src;
    in
    fromParts {
      inherit (origin) origSrc name;
      filter =
        path: type:
        let
          result = origin.filter path type;
        in
        builtins.trace "${toString path}: ${lib.boolToString result}" result;
    };
  pathIsGitRepo = path: (builtins.tryEval (commitIdFromGitRepo path)).success;
  commitIdFromGitRepo =
    path:
    let
      git = if lib.pathIsDirectory path then path else dirOf path;
      readRef =
        root: name:
        let
          loose = root + "/${name}";
          packed = root + "/packed-refs";
          lines = lib.splitString "\n" (builtins.readFile packed);
          found = builtins.filter (x: x != null) (map (builtins.match "([0-9a-f]+) ${lib.escapeRegex name}") lines);
          common = root + "/commondir";
        in
        if builtins.pathExists loose then
          lib.fileContents loose
        else if builtins.pathExists packed && found != [ ] then
          builtins.head (builtins.head found)
        else if builtins.pathExists common then
          readRef (root + "/${lib.fileContents common}") name
        else
          throw "Could not find ${name} in ${toString root}";
      head = lib.fileContents (git + "/HEAD");
      symbolic = builtins.match "ref: (.*)" head;
    in
    if !builtins.pathExists (git + "/HEAD") then
      throw "Not a .git directory: ${toString path}"
    else if symbolic == null then
      head
    else
      readRef git (builtins.head symbolic);
  # Globs: `*` within a folder, `**` across folders.
  sourceByGlobs =
    src: globs:
    let
      part = x: if builtins.isList x then { "**/" = "(.*/)?"; "**" = ".*"; "*" = "[^/]*"; }.${builtins.head x} else lib.escapeRegex x;
      regex = glob: lib.concatMapStrings part (builtins.split "([*][*]/|[*][*]|[*])" glob);
      wanted = map regex globs;
      # The folders on the way to what is wanted.
      parents = lib.concatMap (
        glob: let parts = lib.splitString "/" glob; in map (n: regex (lib.concatStringsSep "/" (lib.take n parts))) (lib.range 1 (builtins.length parts - 1))
      ) globs;
      root = toString (asCleanSource src).origSrc;
    in
    cleanSourceWith {
      inherit src;
      filter =
        path: type:
        let
          relative = lib.removePrefix (root + "/") (toString path);
          matches = builtins.any (pattern: builtins.match pattern relative != null);
        in
        matches wanted || (type == "directory" && matches parents);
    };
  # A name for the store: of where a source is from, of its revision, and of a suffix or null.
  repoRevToName =
    kind:
    let
      full =
        location: revision: suffix:
        lib.concatStringsSep "-" (
          [ (urlToName location) ] ++ lib.optional (revision != null) (shortRev revision) ++ lib.optional (suffix != null) suffix ++ [ "source" ]
        );
    in
    {
      inherit full;
      versioned = location: revision: _: full location revision null;
      source = _: _: _: "source";
    }.${kind} or (throw "repoRevToName: what is the kind `${kind}'? Known are full, versioned and source");
  revOrTag = rev: tag: lib.findFirst (given: given != null) "HEAD" [ tag rev ];
  # Of a commit its first digits, of a tag its version.
  shortRev =
    revision:
    let
      text = baseNameOf (toString revision);
      version = builtins.match "([[:alpha:]]+[-_. ]?)*v?([0-9.]+.*)" text;
    in
    if builtins.match "[0-9a-f]+" text != null then
      builtins.substring 0 7 text
    else if version != null then
      lib.last version
    else
      text;
  # The last part of a location, without what archives and repositories have at their end.
  urlToName =
    url:
    let
      strip =
        name:
        let
          shorter = builtins.match "(.*)[.](git|zip|lzma|zstd|t?gz|t?bz2?|t?xz|tar)" name;
        in
        if shorter == null then name else strip (builtins.head shorter);
    in
    strip (baseNameOf (lib.removeSuffix "/" (lib.last (lib.splitString ":" (toString url)))));
}
