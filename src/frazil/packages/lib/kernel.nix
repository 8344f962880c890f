# Values of Linux's configuration, and when they hold.
{ lib }:
let
  tristate = letter: {
    tristate = letter;
    optional = false;
  };
in
{
  yes = tristate "y";
  module = tristate "m";
  no = tristate "n";
  unset = tristate null;
  freeform = text: {
    freeform = text;
    optional = false;
  };
  option = value: value // { optional = true; };
  whenHelpers =
    version:
    let
      from = lib.versionAtLeast version;
      below = lib.versionOlder version;
    in
    {
      whenAtLeast = first: lib.mkIf (from first);
      whenOlder = end: lib.mkIf (below end);
      whenBetween = first: end: lib.mkIf (from first && below end);
    };
}
