"""`frazil.lang.values`: sets that others were made from by `//`, and where their attributes are defined."""

from __future__ import annotations

import time

from golden import evaluate
from hypothesis import given, settings
from hypothesis import strategies as st

from frazil.lang.shapes import update_attrs
from frazil.lang.values import Attrs, attrs_from_dict

BASE = {f"n{i}": i for i in range(40)}
CHANGES = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.dictionaries(st.sampled_from([*list(BASE)[:6], "x", "y", "z"]), st.integers(), min_size=1, max_size=4),
        st.booleans(),
    ),
    max_size=12,
)


def plain(attrs: Attrs) -> dict[str, object]:
    return dict(attrs.items())


@settings(max_examples=200, deadline=None)
@given(CHANGES)
def test_every_version_keeps_what_it_had(changes: list[tuple[int, dict[str, int], bool]]) -> None:
    versions = [(attrs_from_dict(dict(BASE), {"n1": 7}), dict(BASE))]
    for which, added, look in changes:
        attrs, model = versions[which % len(versions)]
        versions.append((update_attrs(attrs, attrs_from_dict(dict(added), dict.fromkeys(added, 9))), model | added))
        if look:
            assert attrs.lookup("n1") == model["n1"]
    for attrs, model in versions:
        assert attrs.size() == len(model)
        assert attrs.has("x") == ("x" in model)
        assert list(attrs.names()) == sorted(model)
        assert plain(attrs) == model
        assert attrs.copy_table() == model
        assert attrs.raw_values() == [model[name] for name in sorted(model)]


def test_adding_over_and_over_is_linear() -> None:
    fold = "builtins.foldl' (acc: i: acc // { ${toString i} = i; }) { } (builtins.genList (i: i) %d)"
    start = time.process_time()
    assert evaluate(f"builtins.length (builtins.attrNames ({fold % 60_000}))") == "60000"
    assert time.process_time() - start < 5


def test_positions_of_many_merged_sets() -> None:
    attrs = attrs_from_dict({"a": 0}, {"a": 1})
    for i in range(1000):
        attrs = update_attrs(attrs, attrs_from_dict({f"n{i % 300}": i}, {f"n{i % 300}": 10 + i}))
    assert attrs.position("a") == 1
    assert [attrs.position(f"n{i}") for i in (0, 99, 100, 299)] == [910, 1009, 710, 909]
    nested = attrs_from_dict({"a": 0}, {"a": 5})
    for i in range(1000):
        nested = update_attrs(attrs_from_dict({f"n{i}": i}, {f"n{i}": 10 + i}), nested)
    assert nested.position("a") == 5
    assert nested.position("n0") == 10


def test_positions_of_a_set_merged_with_itself_over_and_over() -> None:
    attrs = attrs_from_dict(dict(BASE), {"n1": 7})
    for i in range(200):
        attrs = update_attrs(attrs, update_attrs(attrs, attrs_from_dict({f"x{i}": i}, {f"x{i}": 10 + i})))
    assert [attrs.position(name) for name in ("n1", "x0", "x199")] == [7, 10, 209]


def test_old_versions_stay_what_they_were_in_the_language() -> None:
    base = "let base = builtins.listToAttrs (builtins.genList (i: { name = toString i; value = i; }) 50);"
    assert evaluate(f'{base} new = base // {{ "7" = "x"; y = 1; }}; in [ new."7" base."7" (base ? y) ]') == (
        '[ "x" 7 false ]'
    )
    assert evaluate(
        f'{base} sum = a: b: a // b; new = sum base {{ "7" = "x"; }}; in new == base // {{ "7" = "x"; }}'
    ) == ("true")
    assert (
        evaluate(f'{base} in builtins.removeAttrs base [ "3" ] // {{ "3" = 1; }} == base // {{ "3" = 1; }}') == "true"
    )
    assert evaluate(
        f'{base} new = base // {{ "7" = "x"; }}; in [ (base == new) (new == base) (base == base // {{ }}) ]'
    ) == ("[ false false true ]")
