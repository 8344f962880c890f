{ lib }:
let
  # null where the text is a well-formed subpath, else what is wrong.
  subpathError =
    value:
    if !builtins.isString value then
      "The given value is of type ${builtins.typeOf value}, but a string was expected"
    else if value == "" then
      "The given string is empty"
    else if builtins.substring 0 1 value == "/" then
      "The given string \"${value}\" starts with a `/`, representing an absolute path"
    else if builtins.match "(.*/)?\\.\\.(/.*)?" value != null then
      "The given string \"${value}\" contains a `..` component, which is not allowed in subpaths"
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
    assert lib.assertMsg (builtins.isPath path) "lib.path.append: The first argument is of type ${builtins.typeOf path}, but a path was expected";
    assert lib.assertMsg (subpath.isValid text) "lib.path.append: Second argument is not a valid subpath string:\n    ${subpathError text}";
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
      throw "lib.path.removePrefix: The first path argument \"${toString prefix}\" is not a component-wise prefix of the second path argument \"${toString path}\"";
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
              throw "lib.path.subpath.join: Element at index ${toString i} is not a valid subpath string:\n    ${subpathError text}"
          ) texts
        )
      );
    components =
      text:
      assert lib.assertMsg (subpathError text == null) "lib.path.subpath.components: Argument is not a valid subpath string:\n    ${subpathError text}";
      components text;
    normalise =
      text:
      assert lib.assertMsg (subpathError text == null) "lib.path.subpath.normalise: Argument is not a valid subpath string:\n    ${subpathError text}";
      joinComponents (components text);
  };
}
