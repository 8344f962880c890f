"""Fuzzing of everything that reads input from outside: `python -m tools.fuzz --help`."""
