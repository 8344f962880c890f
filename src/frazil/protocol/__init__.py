"""How stores talk to each other: the worker protocol of the daemon, the serve protocol of `nix-store --serve`."""
