"""Closures as pictures, SVG or HTML with one inside: areas for sizes, boxes and arrows for dependencies.

In: names with sizes, or names with arrows between them. Out: a text that any browser shows, without scripts or anything
to be fetched. Names are escaped; coordinates are rounded, so that the same closure gives the same bytes.
"""

from __future__ import annotations

import os

from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

WIDTH, HEIGHT = 1200.0, 800.0
MAXIMUM = 5000
"""Boxes; smaller ones are shown as one."""
_ROW, _COLUMN, _GAP, _BOX = 34.0, 280.0, 80.0, 24.0
_LETTER = 7.2
"""How wide a letter of a wide font is, on average."""
_STYLE = (
    "text{font:11px sans-serif;fill:#1c1c1c}rect{stroke:#fff}"
    ".way rect{fill:#f4b350}.other rect{fill:#d7dde4}"
    "path{fill:none;stroke:#9aa5b1;stroke-opacity:.7}path.back{stroke-dasharray:3 3}"
    "path.way{stroke:#d9822b;stroke-width:2.5;stroke-opacity:1}"
)


def write_picture(place: str, title: str, svg: str) -> None:
    """Whole or not at all. Raises UsageError for a name that ends in neither, FrazilError."""
    kind = os.path.splitext(place)[1].lower()
    if kind not in (".svg", ".html"):
        raise UsageError(f"cannot tell what '{place}' shall be", hint="the name of a picture ends in .svg or .html")
    text = svg
    if kind == ".html":
        head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_escaped(title)}</title>'
        text = f'{head}<body style="margin:0">{svg}</body></html>\n'
    temporary = f"{place}.tmp-{os.getpid()}"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, place)
    except OSError as error:
        raise FrazilError(f"writing '{place}': {error.strerror}") from error


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _document(width: float, height: float, body: Iterable[str], *, fits: bool = True) -> str:
    """`fits`: as wide as the window is; else letters keep their size, and one scrolls."""
    shown = 'width="100%"' if fits else f'width="{width:.0f}" height="{height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" {shown}>'
    return f"{head}<style>{_STYLE}</style>{''.join(body)}</svg>\n"


# -- sizes ---------------------------------------------------------------------------------------------------------


def treemap(sizes: Mapping[str, int], show_size: Callable[[int], str]) -> str:
    """An area for each name, in proportion to its size."""
    ordered = sorted(((size, name) for name, size in sizes.items() if size > 0), reverse=True)
    if len(ordered) > MAXIMUM:
        rest = sum(size for size, _ in ordered[MAXIMUM:])
        ordered = [*ordered[:MAXIMUM], (rest, f"{len(ordered) - MAXIMUM} smaller ones")]
    total = sum(size for size, _ in ordered)
    body = []
    if total:
        scale = WIDTH * HEIGHT / total
        places = _squarified([size * scale for size, _ in ordered])
        for (size, name), (x, y, width, height) in zip(ordered, places):
            label = f"{name} · {show_size(size)}"
            hue = sum(map(ord, name)) % 360
            body.append(
                f'<g><title>{_escaped(label)}</title><rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
                f'height="{height:.1f}" fill="hsl({hue},45%,78%)"/>'
            )
            body += _texts(x, y, width, height, name, show_size(size))
            body.append("</g>")
    return _document(WIDTH, HEIGHT, body)


def _texts(x: float, y: float, width: float, height: float, name: str, size: str) -> list[str]:
    """The name and, where there is a second line for it, the size."""
    fits = int((width - 6) / _LETTER)
    if height <= 16 or fits <= 3:
        return []
    one_line = f"{name} · {size}"
    lines = [one_line] if len(one_line) <= fits else [_cut(name, fits)]
    if len(lines[0]) < len(one_line) and height > 30 and len(size) <= fits:
        lines.append(size)
    return [f'<text x="{x + 3:.1f}" y="{y + 13 + 14 * n:.1f}">{_escaped(line)}</text>' for n, line in enumerate(lines)]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _squarified(areas: Sequence[float]) -> list[tuple[float, float, float, float]]:
    """Places for areas, largest first, each row along the shorter side as long as its boxes get less narrow."""
    places: list[tuple[float, float, float, float]] = []
    x, y, width, height = 0.0, 0.0, WIDTH, HEIGHT
    start = 0
    while start < len(areas):
        side = max(min(width, height), 1e-9)
        end, total = start + 1, areas[start]
        worst = _worst(areas[start], areas[start], total, side)
        while end < len(areas):
            following = _worst(areas[start], areas[end], total + areas[end], side)
            if following > worst:
                break
            worst, total, end = following, total + areas[end], end + 1
        depth = total / side
        along = 0.0
        for area in areas[start:end]:
            length = area / depth
            if width >= height:
                places.append((x, y + along, depth, length))
            else:
                places.append((x + along, y, length, depth))
            along += length
        if width >= height:
            x, width = x + depth, width - depth
        else:
            y, height = y + depth, height - depth
        start = end
    return places


def _worst(largest: float, smallest: float, total: float, side: float) -> float:
    """How narrow the narrowest box of a row is."""
    square = side * side
    return max(square * largest / (total * total), total * total / (square * smallest))


# -- dependencies --------------------------------------------------------------------------------------------------


def in_order(levels: Sequence[Sequence[str]], arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Each column in the order of what points to it from the one before, so that fewer arrows cross."""
    origins: dict[str, list[str]] = {}
    for start, end in arrows:
        origins.setdefault(end, []).append(start)
    ordered: list[list[str]] = []
    for level in levels:
        before = {name: row for row, name in enumerate(ordered[-1])} if ordered else {}

        def middle(name: str, before: dict[str, int] = before) -> float:
            rows = [before[origin] for origin in origins.get(name, ()) if origin in before]
            return sum(rows) / len(rows) if rows else float(len(before))

        ordered.append(sorted(level, key=lambda name: (middle(name), name)))
    return ordered


def _without_hash(name: str) -> str:
    return name[33:] if len(name) > 33 and name[32] == "-" and name[:32].isalnum() else name


def dependency_graph(levels: Sequence[Sequence[str]], arrows: Iterable[tuple[str, str]], lit: Sequence[str]) -> str:
    """Boxes in columns from left to right, arrows between them. `lit`: the names of the way that is meant."""
    places = {}
    rows = max((len(level) for level in levels), default=1)
    for column, level in enumerate(levels):
        offset = (rows - len(level)) * _ROW / 2
        for row, name in enumerate(level):
            places[name] = (10 + column * (_COLUMN + _GAP), 10 + offset + row * _ROW)
    steps = {(name, lit[number + 1]) for number, name in enumerate(lit[:-1])}
    lines, above = [], []
    for start, end in sorted(set(arrows)):
        if start not in places or end not in places or start == end:
            continue
        (x, y), (to_x, to_y) = places[start], places[end]
        x, y, to_y = x + _COLUMN, y + _BOX / 2, to_y + _BOX / 2
        bend = (to_x - x) / 2
        path = f"M{x:.1f},{y:.1f}C{x + bend:.1f},{y:.1f} {to_x - bend:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}"
        kind = ""
        if to_x < x:  # not to the right of it: around the outside
            right = to_x + _COLUMN
            out = max(x, right) + _GAP / 2
            path = f"M{x:.1f},{y:.1f}C{out:.1f},{y:.1f} {out:.1f},{to_y:.1f} {right:.1f},{to_y:.1f}"
            kind = ' class="back"'
        if (start, end) in steps:
            above.append(f'<path class="way" d="{path}"/>')
        else:
            lines.append(f'<path{kind} d="{path}"/>')
    boxes = []
    for name, (x, y) in places.items():
        kind = "way" if name in lit else "other"
        shown = _cut(_without_hash(name), int((_COLUMN - 12) / _LETTER))
        boxes.append(
            f'<g class="{kind}"><title>{_escaped(name)}</title><rect x="{x:.1f}" y="{y:.1f}" rx="4" '
            f'width="{_COLUMN:.0f}" height="{_BOX:.0f}"/>'
            f'<text x="{x + 6:.1f}" y="{y + 16:.1f}">{_escaped(shown)}</text></g>'
        )
    width = 20 + len(levels) * (_COLUMN + _GAP)
    return _document(max(width, 40), 20 + rows * _ROW, [*lines, *above, *boxes], fits=False)
