# The language's forms and builtins: recursion, lists, sorting, sets, numbers, laziness, exceptions.
let
  inherit (builtins) add attrNames attrValues concatLists concatMap elem elemAt filter foldl' genList genericClosure groupBy head
    intersectAttrs isInt length listToAttrs map mapAttrs partition removeAttrs seq sort tail zipAttrsWith;

  mod = a: b: a - b * (a / b);
  even = n: if n == 0 then true else odd (n - 1);
  odd = n: if n == 0 then false else even (n - 1);
  ackermann = m: n: if m == 0 then n + 1 else if n == 0 then ackermann (m - 1) 1 else ackermann (m - 1) (ackermann m (n - 1));
  binomial = n: k: if k == 0 || k == n then 1 else binomial (n - 1) (k - 1) + binomial (n - 1) k;
  numbers = genList (i: mod (i * 7919 + 31) 4001) 4000;

  # A tree of sets, walked.
  tree = depth: if depth == 0 then { leaf = true; size = 1; } else rec {
    left = tree (depth - 1);
    right = tree (depth - 1);
    size = left.size + right.size + 1;
    leaf = false;
  };
  sum = t: if t.leaf then 1 else sum t.left + sum t.right + (t.extra or 1);

  # Insertion into a list and a merge sort written out.
  merge = a: b: if a == [ ] then b else if b == [ ] then a else if head a <= head b then [ (head a) ] ++ merge (tail a) b else [ (head b) ] ++ merge a (tail b);
  halves = xs: let n = length xs / 2; in { a = genList (elemAt xs) n; b = genList (i: elemAt xs (i + n)) (length xs - n); };
  mergeSort = xs: if length xs < 2 then xs else let h = halves xs; in merge (mergeSort h.a) (mergeSort h.b);

  defaults = { a ? 1, b ? a + 1, c ? b * 2, ... }@all: a + b + c + length (attrNames all);
  curried = a: b: c: d: a * b + c - d;
  compose = f: g: x: f (g x);
  twice = f: compose f f;

  table = listToAttrs (map (n: { name = "key${toString n}"; value = { inherit n; square = n * n; odd = mod n 2 == 1; }; }) (genList (i: i) 3000));
  updates = foldl' (set: n: set // { "k${toString (mod n 61)}" = (set."k${toString (mod n 61)}" or 0) + n; }) { } numbers;
  counters = foldl' (s: n: seq s.sum { sum = s.sum + n; seen = s.seen + 1; inherit (s) tag; }) { sum = 0; seen = 0; tag = "t"; } numbers;
  closure = genericClosure {
    startSet = [ { key = 1; } ];
    operator = n: if n.key > 3000 then [ ] else [ { key = n.key * 2; } { key = n.key * 2 + 1; depth = n.depth or 0 + 1; } ];
  };
  grid = concatMap (x: map (y: { inherit x y; d = x * x + y * y; }) (genList (i: i) 40)) (genList (i: i) 40);
  scoped = with table; with { key1 = key2; }; key1.n + key17.square + (if key3.odd then 1 else 0);
  partial = map (f: f 3) (map (f: f 2) (map curried numbers));
  caught = map (n: (builtins.tryEval (if mod n 50 == 0 then throw "no ${toString n}" else assert n > 1; n)).success) numbers;
  floats = foldl' (a: n: a + n / 3.0) 0.0 numbers;
  zipped = zipAttrsWith (n: vs: foldl' add 0 vs) (map (n: { "g${toString (mod n 20)}" = n; all = 1; }) numbers);
  checks = {
    recursion = [ (even 500) (ackermann 2 60) (binomial 15 7) (sum (tree 12)) ];
    sorted = sort (a: b: a < b) numbers == mergeSort numbers;
    stable = map (p: p.y) (sort (p: q: p.d < q.d || (p.d == q.d && p.x < q.x)) grid);
    compared = sort builtins.lessThan (map (n: [ (mod n 10) "s${toString n}" ]) numbers);
    sums = foldl' (a: n: a + twice (twice (x: x + n)) 1) 0 numbers;
    total = foldl' (a: b: a + b * 2) 0 (genList (x: x * 3 + 1) 60000);
    defaults = foldl' (a: n: a + defaults { a = n; } + defaults { b = n; other = 1; }) 0 numbers;
    set = mapAttrs (n: v: v // { label = "${n}:${toString v.square}"; }) table;
    picked = intersectAttrs (removeAttrs updates [ "k1" "k2" ]) (table // updates);
    groups = mapAttrs (n: length) (groupBy (n: toString (mod n 37)) numbers);
    found = length (filter (n: elem n [ 3 5 7 11 13 ]) numbers);
    present = length (filter (n: table ? "key${toString (n * 2)}") numbers);
    halves = (partition (n: n < 2000) numbers).right;
    paths = builtins.all (n: table.key5.square == 25 && !(table ? key5.missing.deep)) numbers;
    equal = genList (i: { a = i; b = [ i ]; }) 500 == genList (i: { a = i; b = [ i ]; }) 500;
    joined = concatLists (map (n: if isInt n && n > 100 -> n != 7 then [ n ] else [ ]) numbers);
    closure = length closure;
    inherit counters scoped zipped floats;
    partial = foldl' add 0 (map (f: f 5) partial);
    caught = length (filter (x: x) caught);
    values = foldl' (a: v: a + v.n) 0 (attrValues table);
  };
in
builtins.deepSeq checks (builtins.hashString "sha256" (builtins.toJSON checks))
