"""Indented strings: the common indentation goes, as `stripIndentation` in Nix's `parser-state.hh` does it.

In: [(position, is text with indentation, text or expression)]; escapes come as text without indentation.
Out: [(position, text or expression)] without empty texts. This is for the evaluator as it runs without being compiled;
else `native/indentation.c` does it, a line at a time.
"""


def find_quote(p, i, n):
    """The first `$` or `'` from i, or n."""
    while i < n and p[i] != 36 and p[i] != 39:
        i += 1
    return i


def has_null(p, i, end):
    return b"\0" in p[i:end]


def strip_text(p, start, end):
    """A string without escapes and interpolations."""
    return "".join(text for _, text in strip_indentation([(0, True, p[start:end].decode("latin-1"))]))


def minimum_indentation(parts):
    """Of all lines that hold more than spaces."""
    at_start = True
    minimum = 1000000
    current = 0
    for _, indented, text in parts:
        if not indented:
            if at_start:
                at_start = False
                minimum = min(minimum, current)
            continue
        for character in text:
            if character == "\n":
                at_start = True
                current = 0
            elif at_start:
                if character == " ":
                    current += 1
                else:
                    at_start = False
                    minimum = min(minimum, current)
    return minimum


def strip_lines(text, minimum, at_start, dropped):
    """(text without indentation, whether it ends at a line's start, spaces seen there)."""
    out = []
    for character in text:
        if character == "\n":
            at_start = True
            dropped = 0
        elif at_start:
            if character == " ":
                dropped += 1
                if dropped <= minimum:
                    continue
            else:
                at_start = False
                dropped = 0
        out.append(character)
    return "".join(out), at_start, dropped


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
