"""The only joint between the language and the store: effectful builtins, instantiation, import from derivation."""

import frazil.lang  # noqa: F401  # decides whether compiled modules are used, here too
