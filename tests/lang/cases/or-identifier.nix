let or = x: y: x + y; f = g: g 1 2; in [ ((x: x) or 1 2) { or = 3; }.or ]
