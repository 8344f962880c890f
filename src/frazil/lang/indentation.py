"""Indented strings: the common indentation goes, as `stripIndentation` in Nix's `parser-state.hh` does it.

In: [(position, is text with indentation, text or expression)]; escapes come as text without indentation.
Out: [(position, text or expression)] without empty texts.
"""

import cython
from cython.cimports.frazil.lang.values import latin1, writable


def minimum_indentation(parts: list):
    """Of all lines that hold more than spaces."""
    at_start: cython.bint = True
    minimum: cython.Py_ssize_t = 1000000
    current: cython.Py_ssize_t = 0
    i: cython.Py_ssize_t
    for part in parts:
        if not part[1]:
            if at_start:
                at_start = False
                minimum = min(minimum, current)
            continue
        text: str = part[2]
        p = latin1(text)
        for i in range(len(text)):
            if p[i] == 10:
                at_start = True
                current = 0
            elif at_start:
                if p[i] == 32:
                    current += 1
                else:
                    at_start = False
                    minimum = min(minimum, current)
    return minimum


def strip_lines(text: str, minimum: cython.Py_ssize_t, at_start: cython.bint, dropped: cython.Py_ssize_t):
    """(text without indentation, whether it ends at a line's start, spaces seen there)."""
    p = latin1(text)
    out: object = bytearray(len(text))
    q = writable(out)
    size: cython.Py_ssize_t = 0
    i: cython.Py_ssize_t
    for i in range(len(text)):
        if p[i] == 10:
            at_start = True
            dropped = 0
        elif at_start:
            if p[i] == 32:
                dropped += 1
                if dropped <= minimum:
                    continue
            else:
                at_start = False
                dropped = 0
        q[size] = p[i]
        size += 1
    return out[:size].decode("latin-1"), at_start, dropped


def strip_indentation(parts):
    """The parts as they count."""
    minimum = minimum_indentation(parts)
    at_start = True
    dropped = 0
    out = []
    last = len(parts) - 1
    for number, (pos, _, part) in enumerate(parts):
        if not isinstance(part, str):
            at_start = False
            dropped = 0
            out.append((pos, part))
            continue
        text, at_start, dropped = strip_lines(part, minimum, at_start, dropped)
        if number == last:
            newline = text.rfind("\n")
            if newline >= 0 and not text[newline + 1 :].strip(" "):
                text = text[: newline + 1]
        if text:
            out.append((pos, text))
    return out
