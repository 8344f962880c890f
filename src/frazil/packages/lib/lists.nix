{ lib }:
let
  inherit (builtins)
    length
    elemAt
    genList
    foldl'
    ;
  inherit (lib.trivial) min;
in
rec {
  inherit (builtins)
    all
    any
    concatLists
    concatMap
    elem
    elemAt
    filter
    genList
    groupBy
    head
    isList
    length
    map
    partition
    sort
    tail
    ;
  # The language's own does not look at the first value.
  foldl' = op: first: builtins.seq first (builtins.foldl' op first);
  concatAttrValues = attrs: builtins.concatLists (builtins.attrValues attrs);
  singleton = x: [ x ];
  forEach = xs: f: map f xs;
  foldr =
    op: nul: list:
    let
      count = length list;
      go = n: if n == count then nul else op (elemAt list n) (go (n + 1));
    in
    go 0;
  fold = foldr;
  foldl =
    op: nul: list:
    let
      go = n: if n == -1 then nul else op (go (n - 1)) (elemAt list n);
    in
    go (length list - 1);
  imap0 = f: xs: genList (at: f at (elemAt xs at)) (length xs);
  imap1 = f: imap0 (at: f (at + 1));
  ifilter0 =
    predicate: input:
    map (index: elemAt input index) (
      builtins.filter (index: predicate index (elemAt input index)) (genList (x: x) (length input))
    );
  remove = x: builtins.filter (y: y != x);
  findSingle =
    predicate: default: multiple: list:
    let
      found = builtins.filter predicate list;
      count = length found;
    in
    if count == 0 then
      default
    else if count != 1 then
      multiple
    else
      builtins.head found;
  findFirstIndex =
    predicate: default: list:
    let
      count = length list;
      # foldl' keeps the stack flat; negative: not yet found.
      index = foldl' (
        state: x:
        if state >= 0 then
          state
        else if predicate x then
          -state - 1
        else
          state - 1
      ) (-1) list;
    in
    if count == 0 || index < 0 then default else index;
  findFirst =
    predicate: default: list:
    let
      index = findFirstIndex predicate null list;
    in
    if index != null then elemAt list index else default;
  flatten = x: if builtins.isList x then builtins.concatMap flatten x else [ x ];
  count = predicate: foldl' (n: x: if predicate x then n + 1 else n) 0;
  optional = condition: x: if condition then [ x ] else [ ];
  optionals = condition: xs: if condition then xs else [ ];
  toList = x: if builtins.isList x then x else [ x ];
  range = low: high: genList (builtins.add low) (lib.max 0 (high - low + 1));
  replicate = n: x: genList (_: x) n;
  groupBy' =
    op: nul: predicate: list:
    builtins.mapAttrs (_: foldl' op nul) (builtins.groupBy predicate list);
  zipListsWith =
    f: a: b:
    genList (n: f (elemAt a n) (elemAt b n)) (min (length a) (length b));
  zipLists = zipListsWith (
    one: other: {
      fst = one;
      snd = other;
    }
  );
  reverseList =
    xs:
    let
      count = length xs;
    in
    genList (n: elemAt xs (count - n - 1)) count;
  listDfs =
    stopOnCycles: before: list:
    let
      visit =
        us: visited: rest:
        let
          cycles = builtins.filter (x: before x us) visited;
          split = builtins.partition (x: before x us) rest;
        in
        if stopOnCycles && cycles != [ ] then
          {
            cycle = us;
            loops = cycles;
            inherit visited rest;
          }
        else if split.right == [ ] then
          { inherit us visited rest; minimal = us; }
        else
          visit (builtins.head split.right) ([ us ] ++ visited) (builtins.tail split.right ++ split.wrong);
      result = visit (builtins.head list) [ ] (builtins.tail list);
    in
    if result ? cycle then result else { inherit (result) minimal visited rest; };
  toposort =
    before: list:
    let
      found = listDfs true before list;
      sorted = toposort before (found.visited ++ found.rest);
    in
    if length list < 2 then
      { result = list; }
    else if found ? cycle then
      {
        cycle = reverseList ([ found.cycle ] ++ found.visited);
        inherit (found) loops;
      }
    else if sorted ? cycle then
      sorted
    else
      { result = [ found.minimal ] ++ sorted.result; };
  sortOn =
    f: list:
    map (item: elemAt item 1) (
      builtins.sort (a: b: builtins.head a < builtins.head b) (
        map (x: [
          (f x)
          x
        ]) list
      )
    );
  compareLists =
    compare: a: b:
    if a == [ ] then
      (if b == [ ] then 0 else -1)
    else if b == [ ] then
      1
    else
      let
        first = compare (builtins.head a) (builtins.head b);
      in
      if first == 0 then compareLists compare (builtins.tail a) (builtins.tail b) else first;
  naturalSort =
    list:
    let
      parts = text: map (part: if builtins.isList part then lib.toInt (builtins.head part) else part) (
        builtins.filter (part: part != "") (builtins.split "(0|[1-9][0-9]*)" text)
      );
      less = a: b: compareLists compareParts (builtins.elemAt a 0) (builtins.elemAt b 0) < 0;
      compareParts =
        a: b:
        let
          ia = builtins.isInt a;
          ib = builtins.isInt b;
        in
        if ia == ib then
          lib.compare a b
        else if ia then
          -1
        else
          1;
    in
    map (item: elemAt item 1) (
      builtins.sort less (
        map (x: [
          (parts x)
          x
        ]) list
      )
    );
  take = count: sublist 0 count;
  takeEnd = n: xs: drop (lib.max 0 (length xs - n)) xs;
  drop = n: xs: sublist n (length xs) xs;
  dropEnd = n: xs: take (lib.max 0 (length xs - n)) xs;
  sublist =
    start: count: list:
    let
      len = length list;
    in
    genList (at: elemAt list (start + at)) (if start < len then min count (len - start) else 0);
  hasPrefix = prefix: list: take (length prefix) list == prefix;
  removePrefix =
    prefix: list:
    if hasPrefix prefix list then
      drop (length prefix) list
    else
      throw "lib.lists.removePrefix: the list does not begin with the elements to remove";
  commonPrefix =
    a: b:
    let
      matching = zipListsWith (x: y: x == y) a b;
      firstMismatch = findFirstIndex (same: !same) (length matching) matching;
    in
    take firstMismatch a;
  last =
    list:
    assert lib.assertMsg (list != [ ]) "lists.last: an empty list has no last element";
    elemAt list (length list - 1);
  init =
    list:
    assert lib.assertMsg (list != [ ]) "lists.init: an empty list has no last element to leave out";
    genList (elemAt list) (length list - 1);
  crossLists = f: foldl (fs: args: builtins.concatMap (f: map f args) fs) [ f ];
  unique = foldl' (found: x: if builtins.elem x found then found else found ++ [ x ]) [ ];
  uniqueStrings =
    list: builtins.attrNames (builtins.groupBy (x: x) list);
  allUnique = list: length (unique list) == length list;
  intersectLists = e: builtins.filter (x: builtins.elem x e);
  subtractLists = e: builtins.filter (x: !(builtins.elem x e));
  mutuallyExclusive = a: b: length a == 0 || !(builtins.any (x: builtins.elem x a) b);
  replaceElemAt =
    list: index: value:
    assert lib.assertMsg (0 <= index && index < length list) "lists.replaceElemAt: there is no element ${toString index} (from 0) in a list of ${toString (length list)}";
    genList (i: if i == index then value else elemAt list i) (length list);
}
