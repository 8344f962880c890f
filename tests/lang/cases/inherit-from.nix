let s = { a = 1; b = 2; }; a = 5; in { inherit a; inherit (s) b; }
