[ (builtins.stringLength "é") (builtins.substring 0 1 "aé") ("é" < "z") ]
