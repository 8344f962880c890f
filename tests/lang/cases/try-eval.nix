[ (builtins.tryEval (throw "x")) (builtins.tryEval (assert false; 1)).success (builtins.tryEval 3).value ]
