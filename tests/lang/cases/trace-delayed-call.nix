# A call that `map`, `mapAttrs` or `zipAttrsWith` delayed comes from whoever wants its value.
let
  wanted = builtins.zipAttrsWith (name: values: values + 1) [ { a = 1; } ];
in
wanted.a
