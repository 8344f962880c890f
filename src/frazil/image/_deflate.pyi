def deflate(data: bytes, window: bytes, last: bool, /) -> bytes:
    """Blocks of DEFLATE for `data`, of which at most 32 KiB of `window` come before. They end at a byte's end: with the
    last block, or with an empty stored one. The interpreter's lock is not held meanwhile."""
