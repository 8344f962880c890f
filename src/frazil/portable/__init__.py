"""Portable services of systemd: their images read, brought to machines, attached there."""
