"""frazil: flakes from a development shell to production machines, without root, daemon or installed Nix."""

__version__ = "0.1.0"
