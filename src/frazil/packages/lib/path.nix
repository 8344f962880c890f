{ lib }:
let
  # null where the text is a well-formed subpath, else what is wrong.
  subpathError =
    value:
    if !builtins.isString value then
      "it is no string, but of type ${builtins.typeOf value}"
    else if value == "" then
      "it is empty"
    else if builtins.substring 0 1 value == "/" then
      "\"${value}\" is absolute: a subpath has no leading `/`"
    else if builtins.match "(.*/)?\\.\\.(/.*)?" value != null then
      "\"${value}\" has `..` among its parts, so it could lead out of the folder"
    else
      null;
  components = text: builtins.filter (part: part != "" && part != ".") (lib.splitString "/" text);
  joinComponents = parts: "./" + (if parts == [ ] then "." else lib.concatStringsSep "/" parts);
  deconstruct =
    path:
    let
      go = parts: base: if base == dirOf base then { root = base; components = parts; } else go ([ (baseNameOf base) ] ++ parts) (dirOf base);
    in
    go [ ] path;
in
rec {
  append =
    path: text:
    assert lib.assertMsg (builtins.isPath path) "lib.path.append: cannot append to a value of type ${builtins.typeOf path}; it takes a path";
    assert lib.assertMsg (subpath.isValid text) "lib.path.append: what should be appended is not a subpath:\n    ${subpathError text}";
    path + ("/" + text);
  splitRoot =
    path:
    let
      parts = deconstruct path;
    in
    {
      inherit (parts) root;
      subpath = joinComponents parts.components;
    };
  hasPrefix =
    prefix: path:
    assert lib.assertMsg (builtins.isPath prefix && builtins.isPath path) "lib.path.hasPrefix: it takes two paths, not values of types ${builtins.typeOf prefix} and ${builtins.typeOf path}";
    lib.lists.hasPrefix (deconstruct prefix).components (deconstruct path).components;
  removePrefix =
    prefix: path:
    let
      want = (deconstruct prefix).components;
      have = (deconstruct path).components;
    in
    if lib.lists.hasPrefix want have then
      joinComponents (lib.drop (builtins.length want) have)
    else
      throw "lib.path.removePrefix: ${toString path} is not at or below ${toString prefix}";
  hasStorePathPrefix =
    path:
    let
      parts = (deconstruct path).components;
      store = components builtins.storeDir;
    in
    lib.lists.hasPrefix store parts && builtins.length parts > builtins.length store
    && builtins.match "[0-9a-z]{32}-.+" (builtins.elemAt parts (builtins.length store)) != null;
  subpath = {
    isValid = value: subpathError value == null;
    join =
      texts:
      joinComponents (
        builtins.concatLists (
          lib.imap0 (
            i: text:
            if subpathError text == null then
              components text
            else
              throw "lib.path.subpath.join: no. ${toString i} of the list (from 0) is not a subpath:\n    ${subpathError text}"
          ) texts
        )
      );
    components =
      text:
      assert lib.assertMsg (subpathError text == null) "lib.path.subpath.components: not a subpath:\n    ${subpathError text}";
      components text;
    normalise =
      text:
      assert lib.assertMsg (subpathError text == null) "lib.path.subpath.normalise: not a subpath:\n    ${subpathError text}";
      joinComponents (components text);
  };
}
