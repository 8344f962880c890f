"""The only joint between the language and the store: effectful builtins, instantiation, import from derivation."""
