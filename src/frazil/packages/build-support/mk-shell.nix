# A derivation for its environment only.
{ lib, stdenv }:
let
  defaultStdenv = stdenv;
in
lib.makeOverridable (
  {
    name ? "nix-shell",
    packages ? [ ],
    inputsFrom ? [ ],
    buildInputs ? [ ],
    nativeBuildInputs ? [ ],
    propagatedBuildInputs ? [ ],
    propagatedNativeBuildInputs ? [ ],
    stdenv ? defaultStdenv,
    ...
  }@attrs:
  let
    merged =
      attribute:
      (attrs.${attribute} or [ ])
      ++ lib.subtractLists inputsFrom (lib.flatten (lib.catAttrs attribute inputsFrom));
    rest = removeAttrs attrs [
      "name"
      "packages"
      "inputsFrom"
      "buildInputs"
      "nativeBuildInputs"
      "propagatedBuildInputs"
      "propagatedNativeBuildInputs"
      "shellHook"
      "stdenv"
    ];
  in
  stdenv.mkDerivation (
    {
      inherit name;
      buildInputs = merged "buildInputs";
      nativeBuildInputs = packages ++ merged "nativeBuildInputs";
      propagatedBuildInputs = merged "propagatedBuildInputs";
      propagatedNativeBuildInputs = merged "propagatedNativeBuildInputs";
      # Hooks of what the shell is for come first, the shell's own last.
      shellHook = lib.concatStringsSep "\n" (
        map (shell: shell.shellHook) (
          builtins.filter (shell: shell ? shellHook) (lib.reverseList inputsFrom ++ lib.singleton attrs)
        )
      );
      phases = [ "buildPhase" ];
      buildPhase = ''
        {
          echo "# The environment of a shell; made by mkShell so that what it needs can be built and kept."
          echo "# What is written here may change at any time."
          echo
          # Every store path that the environment names stays a reference.
          export
        } >> "$out"
      '';
      preferLocalBuild = true;
    }
    // rest
  )
)
