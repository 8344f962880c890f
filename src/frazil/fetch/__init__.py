"""Fetchers: an input's attributes or URL go in, a locked, content-addressed tree in the store comes out.

Source of truth: the flake reference chapter of Nix's manual and the behaviour of its fetchers. Text is ordinary `str`
with undecodable bytes as surrogates (`os.fsdecode`). Nothing expensive is imported until it is needed.
"""
