from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.cli.pictures import HEIGHT, MAXIMUM, WIDTH, dependency_graph, in_order, treemap, write_picture
from frazil.errors import UsageError
from frazil.store.config import StoreConfig
from frazil.store.local import LocalStore

from .conftest import Run

NIX = ("nix", "--extra-experimental-features", "nix-command")
SVG = "{http://www.w3.org/2000/svg}"


def rectangles(svg: str) -> list[tuple[float, float, float, float]]:
    found = ElementTree.fromstring(svg).iter(f"{SVG}rect")
    return [tuple(float(box.attrib[key]) for key in ("x", "y", "width", "height")) for box in found]  # type: ignore[misc]


@given(st.dictionaries(st.text('ab<&">é', max_size=6), st.integers(0, 10**12), max_size=40))
def test_areas_are_in_proportion_and_do_not_overlap(sizes: dict[str, int]) -> None:
    boxes = rectangles(treemap(sizes, str))
    total = sum(sizes.values())
    assert len(boxes) == sum(size > 0 for size in sizes.values())
    if total:
        assert sum(width * height for _, _, width, height in boxes) == pytest.approx(WIDTH * HEIGHT, rel=0.05)
        for x, y, width, height in boxes:
            assert x >= -0.2 and x + width <= WIDTH + 0.2 and y >= -0.2 and y + height <= HEIGHT + 0.2
        largest = max(sizes.values())
        widest = max(width * height for _, _, width, height in boxes)
        assert widest == pytest.approx(WIDTH * HEIGHT * largest / total, rel=0.05, abs=300)


def test_very_many_are_shown_as_one() -> None:
    svg = treemap({str(number): 1 for number in range(MAXIMUM + 7)}, str)
    assert len(rectangles(svg)) == MAXIMUM + 1 and "7 smaller ones" in svg


def test_a_way_is_lit() -> None:
    svg = dependency_graph(
        [["a<"], ["b", "c"], ["d"]], [("a<", "b"), ("a<", "c"), ("b", "d"), ("c", "d")], ["a<", "b", "d"]
    )
    root = ElementTree.fromstring(svg)
    assert [p.attrib.get("class") for p in root.iter(f"{SVG}path")].count("way") == 2
    groups = {g.find(f"{SVG}title").text: g.attrib["class"] for g in root.iter(f"{SVG}g")}  # type: ignore[union-attr]
    assert groups == {"a<": "way", "b": "way", "c": "other", "d": "way"}


def test_labels_fit_and_are_names() -> None:
    hash_part = "0" * 32
    svg = dependency_graph([[f"{hash_part}-top"], [f"{hash_part}-" + "w" * 90]], [], [])
    texts = [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert texts[0] == "top"
    assert texts[1].endswith("…") and len(texts[1]) * 7.2 <= 280
    shown = [element.text for element in ElementTree.fromstring(treemap({"n" * 300: 5}, str)).iter(f"{SVG}text")]
    assert len(shown) == 2 and shown[1] == "5"


def test_fewer_arrows_cross() -> None:
    levels, arrows = [["a"], ["b", "c"], ["x", "y"]], [("a", "b"), ("a", "c"), ("b", "y"), ("c", "x"), ("x", "b")]
    assert in_order(levels, arrows) == [["a"], ["b", "c"], ["y", "x"]]
    svg = dependency_graph(in_order(levels, arrows), arrows, ["a"])
    assert [p.attrib.get("class") for p in ElementTree.fromstring(svg).iter(f"{SVG}path")].count("back") == 1


def test_names_of_pictures(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_picture(str(tmp_path / "x.png"), "t", "")
    write_picture(str(tmp_path / "x.HTML"), "<t>", "<svg/>")
    assert "&lt;t&gt;" in (tmp_path / "x.HTML").read_text()


def test_pictures_of_a_closure(run: Run, tmp_path: Path) -> None:
    with LocalStore(StoreConfig.from_uri(f"local?root={tmp_path}/root", {})) as store:
        base = store.add_text("base", b"base")
        middle = [store.add_text(f"middle-{n}", store.show(base).encode() + b"%d" % n, [base]) for n in range(3)]
        top = store.add_text("top", b"".join(store.show(path).encode() for path in middle), middle)
        shown, target = store.show(top), store.show(base)
    sizes = tmp_path / "sizes.svg"
    done = run(*NIX, "path-info", "--closure-size", "--graph", str(sizes), shown)
    assert done.status == 0 and done.out.startswith(shown), done.err
    assert len(rectangles(sizes.read_text())) == 5
    assert run(*NIX, "path-info", "--graph", str(sizes), shown).status == 1
    why = tmp_path / "why.svg"
    done = run(*NIX, "why-depends", "--graph", str(why), shown, target)
    assert done.status == 0 and done.out.startswith(shown), done.err
    root = ElementTree.fromstring(why.read_text())
    assert len(list(root.iter(f"{SVG}rect"))) == 5
    assert len([p for p in root.iter(f"{SVG}path") if p.attrib.get("class") == "way"]) == 2


def test_sizes_of_many_closures(run: Run, tmp_path: Path) -> None:
    with LocalStore(StoreConfig.from_uri(f"local?root={tmp_path}/root", {})) as store:
        one = store.add_text("one", b"1" * 1000)
        two = store.add_text("two", store.show(one).encode(), [one])
        sizes = {path: store.query_info(path).nar_size for path in (one, two)}
        names = {path: store.show(path) for path in (one, two)}
    lines = run(*NIX, "path-info", "--all", "-S").out.splitlines()
    found = dict(line.split() for line in lines)
    assert found == {names[one]: str(sizes[one]), names[two]: str(sizes[one] + sizes[two])}
    assert set(run(*NIX, "path-info", "--all").out.splitlines()) == set(names.values())
