[ "${{ outPath = "/x"; }}" "${{ __toString = s: s.v; v = "w"; }}" (builtins.toString [ 1 [ true null ] "a" ]) ]
