builtins.genericClosure {
  startSet = [
    { key = 3; }
    { key = 1; }
    { key = 2; }
  ];
  operator = x: [ { key = toString x.key; } ];
}
