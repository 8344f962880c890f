"""Disturbing a store in all the ways that machines and people do, and looking at what is left. See `__main__`."""
