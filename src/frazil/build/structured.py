"""Structured attributes as the builder sees them: `.attrs.json` and `.attrs.sh`.

Out: text, byte for byte what C++ Nix writes (its JSON library's number formats included). Source of truth: the manual's
`__structuredAttrs`, libstore's `parsed-derivations`.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping

from frazil.build.options import Json

_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LARGEST_PLAIN = 15
"""Digits before the point up to which a float is written without an exponent."""


def float_text(number: float) -> str:
    """The shortest text that reads back as `number`, with an exponent from 1e15 on and below 1e-4."""
    text = repr(number)
    digits = text.lstrip("-").split("e")[0]
    whole = digits.split(".")[0]
    if "e" in text or len(whole) <= _LARGEST_PLAIN:
        return text
    significant = digits.replace(".", "").rstrip("0")
    mantissa = significant[0] + ("." + significant[1:] if len(significant) > 1 else "")
    return f"{'-' if number < 0 else ''}{mantissa}e+{len(whole) - 1:02d}"


def json_text(value: Json) -> str:
    """Compact, keys sorted by their bytes, characters above ASCII as they are."""
    if isinstance(value, dict):
        return "{" + ",".join([f"{_json_string(key)}:{json_text(value[key])}" for key in sorted(value)]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([json_text(item) for item in value]) + "]"
    if isinstance(value, str):
        return _json_string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return float_text(value) if isinstance(value, float) else str(value)


def _json_string(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)


def quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _as_c_int(number: float) -> int:
    """A number squeezed into 32 bits as a C cast does it."""
    return (int(number) + (1 << 31)) % (1 << 32) - (1 << 31)


def _simple(value: Json) -> str | None:
    if isinstance(value, str):
        return quote(value)
    if value is None:
        return "''"
    if isinstance(value, bool):
        return "1" if value else ""
    if isinstance(value, int | float):
        try:
            single = struct.unpack("f", struct.pack("f", value))[0]
        except OverflowError:
            return None
        return str(_as_c_int(value)) if math.isfinite(single) and math.ceil(single) == single else None
    return None


def shell_text(attributes: Mapping[str, Json]) -> str:
    """Bash declarations of what Bash can hold; everything deeper is left out."""
    lines = []
    for key in sorted(attributes):
        value = attributes[key]
        if not _SHELL_NAME.fullmatch(key):
            continue
        simple = _simple(value)
        if simple is not None:
            lines.append(f"declare {key}={simple}\n")
        elif isinstance(value, list):
            items = [_simple(item) for item in value]
            if None not in items:
                lines.append(f"declare -a {key}=({''.join([f'{item} ' for item in items])})\n")
        elif isinstance(value, dict):
            pairs = [(name, _simple(value[name])) for name in sorted(value)]
            if all(text is not None for _, text in pairs):
                lines.append(f"declare -A {key}=({''.join([f'[{quote(name)}]={text} ' for name, text in pairs])})\n")
    return "".join(lines)
