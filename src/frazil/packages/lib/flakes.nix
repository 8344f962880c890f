# What the language says of flakes.
{ lib }:
{
  inherit (builtins) parseFlakeRef flakeRefToString;
}
