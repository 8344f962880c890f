let d = p: x: { type = "derivation"; outPath = p; inherit x; }; in [ (d "/a" 1 == d "/a" 2) (d "/a" 1 == d "/b" 1) ]
