{ lib }:
let
  inherit (builtins)
    attrNames
    attrValues
    elemAt
    head
    tail
    length
    listToAttrs
    mapAttrs
    ;
  setRecursion = recurseForDerivations: set: set // { inherit recurseForDerivations; };
in
rec {
  inherit (builtins)
    attrNames
    listToAttrs
    hasAttr
    isAttrs
    getAttr
    removeAttrs
    attrValues
    catAttrs
    intersectAttrs
    mapAttrs
    ;

  attrByPath =
    path: default: set:
    let
      count = length path;
      go =
        n: value:
        if n == count then
          value
        else if value ? ${elemAt path n} then
          go (n + 1) value.${elemAt path n}
        else
          default;
    in
    go 0 set;
  hasAttrByPath =
    path: set:
    let
      count = length path;
      go = n: value: n == count || (value ? ${elemAt path n} && go (n + 1) value.${elemAt path n});
    in
    go 0 set;
  longestValidPathPrefix =
    path: set:
    let
      count = length path;
      go =
        n: value:
        if n == count then
          path
        else if value ? ${elemAt path n} then
          go (n + 1) value.${elemAt path n}
        else
          lib.take n path;
    in
    go 0 set;
  setAttrByPath =
    path: value:
    let
      count = length path;
      go = n: if n == count then value else { ${elemAt path n} = go (n + 1); };
    in
    go 0;
  getAttrFromPath =
    path: set: attrByPath path (abort "getAttrFromPath: there is no ${lib.concatStringsSep "." path}") set;
  showAttrPath =
    path: if path == [ ] then "<root attribute path>" else lib.concatMapStringsSep "." lib.strings.escapeNixIdentifier path;
  concatMapAttrs = f: v: foldlAttrs (acc: name: value: acc // f name value) { } v;
  updateManyAttrsByPath =
    updates: set:
    let
      # Updates of one level, in order; the path is consumed from the left.
      go =
        level: hasValue: value: updates:
        let
          here = builtins.filter (u: length u.path == level) updates;
          below = builtins.groupBy (u: elemAt u.path level) (builtins.filter (u: length u.path > level) updates);
          nested =
            if below == { } then
              {
                inherit hasValue value;
              }
            else if !hasValue || builtins.isAttrs value then
              {
                hasValue = true;
                value = (if hasValue then value else { }) // mapAttrs (
                  name: go (level + 1) (hasValue && value ? ${name}) (value.${name} or null)
                ) below;
              }
            else
              throw "updateManyAttrsByPath: an update is for something inside of ${showAttrPath (lib.take level (head updates).path)}, which is no attribute set";
        in
        if here == [ ] then
          (if nested.hasValue then nested.value else throw "updateManyAttrsByPath: nothing to update")
        else
          builtins.foldl' (acc: u: u.update acc) (
            if nested.hasValue then
              nested.value
            else
              throw "updateManyAttrsByPath: ${showAttrPath (head here).path} is to be updated, but the set has no such attribute"
          ) here;
    in
    if updates == [ ] then set else go 0 true set updates;
  attrVals = names: set: map (name: set.${name}) names;
  getAttrs = names: set: genAttrs names (wanted: set.${wanted});
  filterAttrs =
    predicate: set: builtins.removeAttrs set (builtins.filter (name: !(predicate name set.${name})) (attrNames set));
  filterAttrsRecursive =
    predicate: set:
    listToAttrs (
      builtins.concatMap (
        name:
        let
          value = set.${name};
        in
        if predicate name value then
          [ (nameValuePair name (if builtins.isAttrs value then filterAttrsRecursive predicate value else value)) ]
        else
          [ ]
      ) (attrNames set)
    );
  foldlAttrs =
    f: init: set:
    builtins.foldl' (acc: name: f acc name set.${name}) init (attrNames set);
  foldAttrs =
    op: nul: sets:
    lib.foldr (
      attrs: acc: builtins.foldl' (all: name: all // { ${name} = op attrs.${name} (all.${name} or nul); }) acc (attrNames attrs)
    ) { } sets;
  collect =
    predicate: attrs:
    if predicate attrs then
      [ attrs ]
    else if builtins.isAttrs attrs then
      builtins.concatMap (collect predicate) (attrValues attrs)
    else
      [ ];
  cartesianProduct =
    sets:
    builtins.foldl' (
      rows: name: builtins.concatMap (row: map (value: row // { ${name} = value; }) sets.${name}) rows
    ) [ { } ] (attrNames sets);
  mapCartesianProduct = f: sets: map f (cartesianProduct sets);
  nameValuePair = name: value: {
    inherit value name;
  };
  mapAttrs' = f: set: listToAttrs (map (name: f name set.${name}) (attrNames set));
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  attrsToList = set: mapAttrsToList nameValuePair set;
  mapAttrsRecursive = f: set: mapAttrsRecursiveCond (_: true) f set;
  mapAttrsRecursiveCond =
    condition: f: set:
    let
      go =
        path:
        mapAttrs (
          name: value:
          if builtins.isAttrs value && condition value then go (path ++ [ name ]) value else f (path ++ [ name ]) value
        );
    in
    go [ ] set;
  mapAttrsToListRecursive = f: mapAttrsToListRecursiveCond (_path: _set: true) f;
  mapAttrsToListRecursiveCond =
    condition: f: set:
    let
      go =
        path: value:
        if builtins.isAttrs value && condition path value then
          builtins.concatMap (name: go (path ++ [ name ]) value.${name}) (attrNames value)
        else
          [ (f path value) ];
    in
    go [ ] set;
  genAttrs = names: f: genAttrs' names (name: nameValuePair name (f name));
  genAttrs' = items: toPair: listToAttrs (map toPair items);
  isDerivation = x: x ? type && x.type == "derivation";
  toDerivation =
    path:
    let
      storePath = builtins.storePath path;
      result = {
        type = "derivation";
        name = builtins.unsafeDiscardStringContext (builtins.substring 33 (-1) (baseNameOf storePath));
        outPath = storePath;
        outputs = [ "out" ];
        out = result;
        outputName = "out";
      };
    in
    result;
  optionalAttrs = condition: attrs: if condition then attrs else { };
  zipAttrsWithNames =
    names: f: sets:
    listToAttrs (map (name: nameValuePair name (f name (builtins.catAttrs name sets))) names);
  zipAttrsWith =
    builtins.zipAttrsWith or (
      f: sets: zipAttrsWithNames (attrNames (builtins.foldl' (a: b: a // b) { } sets)) f sets
    );
  zipAttrs = zipAttrsWith (_: values: values);
  # Balanced, so that n sets cost n log n copies and not n squared.
  mergeAttrsList =
    list:
    let
      go =
        start: end:
        if end - start >= 2 then
          (go start (start + (end - start) / 2)) // (go (start + (end - start) / 2) end)
        else
          elemAt list start;
    in
    if list == [ ] then { } else go 0 (length list);
  recursiveUpdateUntil =
    predicate: a: b:
    let
      go =
        path:
        zipAttrsWith (
          name: values:
          let
            here = path ++ [ name ];
          in
          if length values == 1 || predicate here (elemAt values 1) (head values) then head values else go here values
        );
    in
    go [ ] [
      b
      a
    ];
  recursiveUpdate =
    a: b: recursiveUpdateUntil (_: l: r: !(builtins.isAttrs l && builtins.isAttrs r)) a b;
  matchAttrs =
    pattern: attrs:
    assert builtins.isAttrs pattern;
    builtins.all (
      name:
      attrs ? ${name}
      && (
        let
          want = pattern.${name};
          have = attrs.${name};
        in
        if builtins.isAttrs want then builtins.isAttrs have && matchAttrs want have else want == have
      )
    ) (attrNames pattern);
  overrideExisting = old: new: old // builtins.intersectAttrs old new;
  getOutput = output: pkg: if pkg.outputSpecified or false then pkg else pkg.${output} or pkg.out or pkg;
  getFirstOutput =
    candidates: pkg:
    let
      found = builtins.filter (name: pkg ? ${name}) candidates;
    in
    if pkg.outputSpecified or false || found == [ ] then pkg else pkg.${head found};
  getBin = getOutput "bin";
  getLib = getFirstOutput [
    "lib"
    "out"
  ];
  getStatic = getFirstOutput [
    "static"
    "lib"
    "out"
  ];
  getDev = getOutput "dev";
  getInclude = getFirstOutput [
    "include"
    "dev"
    "out"
  ];
  getMan = getFirstOutput [
    "man"
    "doc"
    "out"
  ];
  chooseDevOutputs = map getDev;
  # Whether those who look for packages are to look inside.
  recurseIntoAttrs = setRecursion true;
  dontRecurseIntoAttrs = setRecursion false;
  unionOfDisjoint =
    a: b:
    let
      both = builtins.intersectAttrs a b;
      mask = mapAttrs (name: _: throw "unionOfDisjoint: collision on ${name}; complete list: ${toString (attrNames both)}") both;
    in
    (a // b) // mask;
}
