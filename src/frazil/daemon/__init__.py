"""A store served to others: the daemon's worker protocol and the serve protocol of `nix-store --serve`."""
