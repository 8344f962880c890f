{ lib }:
rec {
  noDepEntry = text: {
    inherit text;
    deps = [ ];
  };
  # The same but for the order of their arguments.
  fullDepEntry = lib.flip stringAfter;
  packEntry = deps: {
    inherit deps;
    text = "";
  };
  stringAfter = deps: text: {
    inherit deps text;
  };
  # The texts of the named entries and of all they depend on, each once, dependencies first.
  textClosureList =
    predefined: names:
    let
      visit =
        state: name:
        if state.done ? ${name} then
          state
        else
          let
            entry = predefined.${name};
            before = builtins.foldl' visit (state // { done = state.done // { ${name} = true; }; }) (
              entry.deps or [ ]
            );
          in
          before // { texts = before.texts ++ [ (entry.text or entry) ]; };
    in
    (builtins.foldl' visit {
      done = { };
      texts = [ ];
    } names).texts;
  textClosureMap =
    f: predefined: names:
    lib.concatStringsSep "\n" (map f (textClosureList predefined names));
}
