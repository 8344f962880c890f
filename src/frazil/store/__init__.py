"""The store: paths, derivations, archives, the database, and the store in a file system.

Formats and rules are those of Nix's manual (`store/`, `protocols/`), byte for byte. This room prints nothing and knows
nothing of the language; `docs/design/store.md` tells how its parts hang together.
"""
