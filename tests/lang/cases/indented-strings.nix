{
  common = ''
    one
      two
    three
  '';
  escapes = '' ''${x} ''' ''\n ''\t $ $${y} '';
  interpolation = ''
    a ${"x
    y"} b
      ${"c"}
  '';
  empty = '''';
  blank = ''   '';
  lastLine = ''
    text
     '';
  oneLine = ''  x'';
  unevenBlank = ''
      a

    b
  '';
}
