"""Lock files: golden texts, hostile texts, comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.errors import FrazilError, UsageError
from frazil.flake.errors import LockFileError
from frazil.flake.lock import (
    MAX_DEPTH,
    LockedNode,
    LockFile,
    Node,
    differences,
    parse_input_path,
    print_differences,
)
from frazil.flake.reference import FlakeReference

GOLDEN = sorted((Path(__file__).parent / "locks").glob("*.lock"))
REV = "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed"


def indirect(name: str) -> FlakeReference:
    return FlakeReference({"type": "indirect", "id": name})


def locked(name: str, **inputs: LockedNode | tuple[str, ...]) -> LockedNode:
    reference = FlakeReference({"type": "github", "owner": "o", "repo": name, "rev": REV, "lastModified": 1700000000})
    return LockedNode(dict(inputs), locked=reference, original=indirect(name))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_golden_lock_files_are_printed_as_they_were(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lock = LockFile.parse(text, str(path))
    lock.check()
    assert lock.to_string() + "\n" == text


def test_golden_files_are_there() -> None:
    assert len(GOLDEN) >= 3


def test_names_of_nodes_are_made_unique() -> None:
    inner = locked("b")
    lock = LockFile(Node({"a": locked("a", b=inner), "b": locked("b"), "c": ("a", "b"), "root": locked("root")}))
    nodes = lock.to_json()[0]["nodes"]
    assert isinstance(nodes, dict)
    assert sorted(nodes) == ["a", "b", "b_2", "root", "root_2"]
    assert nodes["a"]["inputs"] == {"b": "b"}
    assert nodes["root"]["inputs"] == {"a": "a", "b": "b_2", "c": ["a", "b"], "root": "root_2"}


def test_follows_are_followed() -> None:
    b = locked("b")
    lock = LockFile(Node({"a": locked("a", b=b), "c": ("d",), "d": ("a", "b")}))
    assert lock.find_input(("c",)) is b
    assert lock.find_input(("nothing",)) is None
    lock.check()


def test_a_cycle_of_follows_is_an_error() -> None:
    lock = LockFile(Node({"a": ("b",), "b": ("a",)}))
    with pytest.raises(LockFileError, match=r"follow cycle detected: \[b -> a -> b\]"):
        lock.check()


def test_following_nothing_is_an_error() -> None:
    with pytest.raises(LockFileError, match="input 'a' follows a non-existent input 'x/y'"):
        LockFile(Node({"a": ("x", "y")})).check()


def test_differences_read_as_nix_prints_them() -> None:
    old = LockFile(Node({"a": locked("a"), "gone": locked("gone"), "f": ("a",)}))
    other = LockedNode(locked=FlakeReference({"type": "path", "path": "/x", "lastModified": 0}), original=indirect("a"))
    new = LockFile(Node({"a": other, "new": ("a",), "f": ("a",)}))
    assert print_differences(differences(old, new)) == (
        "• Updated input 'a':\n"
        f"    'github:o/a/{REV}' (2023-11-14)\n"
        "  → 'path:/x?lastModified=0' (1970-01-01)\n"
        "• Removed input 'gone'\n"
        "• Added input 'new':\n"
        "    follows 'a'\n"
    )
    assert print_differences(differences(new, new)) == ""
    assert print_differences(differences(old, new), color=True).startswith("• \033[1mUpdated input 'a':\033[0m")


def test_input_paths() -> None:
    assert parse_input_path("a/b-c") == ("a", "b-c")
    assert parse_input_path("") == ()
    with pytest.raises(UsageError, match="invalid flake input attribute path element '1a'"):
        parse_input_path("x/1a")


def test_a_syntax_error_has_its_place() -> None:
    with pytest.raises(LockFileError, match="line 3, column 3") as caught:
        LockFile.parse('{\n  "version": 7,\n  oops\n}', "flake.lock")
    position = caught.value.position
    assert position is not None
    assert (position.file, position.line, position.column, position.source_line) == ("flake.lock", 3, 3, "  oops")
    assert caught.value.hint is not None


def test_a_merge_conflict_is_named() -> None:
    with pytest.raises(LockFileError) as caught:
        LockFile.parse('{\n<<<<<<< HEAD\n"a": 1\n=======\n>>>>>>> x\n}', "flake.lock")
    assert "merge conflict" in str(caught.value.hint)


def lock_text(nodes: object, version: object = 7, root: object = "root") -> str:
    return json.dumps({"nodes": nodes, "version": version, "root": root})


PINNED = {"type": "github", "owner": "o", "repo": "r", "rev": REV}
NAMED = {"type": "indirect", "id": "a"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Could not parse"),
        ("[]", "does not hold a JSON object"),
        ("{}", "unsupported version 0"),
        ('{"version": NaN}', "is not JSON"),
        ("[" * 100000, "nested too deeply"),
        ('{"version": 1' + "0" * 5000 + "}", "Could not parse"),
        (lock_text({"root": {}}, version=4), "unsupported version 4"),
        (lock_text({"root": {}}, version=8), "unsupported version 8"),
        (lock_text({"root": {}}, version=True), "unsupported version True"),
        (lock_text([]), "wrong type"),
        (lock_text({}), "missing node 'root'"),
        (lock_text({"root": 1}), "not an object"),
        (lock_text({"root": {"inputs": []}}), "not an object"),
        (lock_text({"root": {"inputs": {"a": 1}}}), "neither the name of a node"),
        (lock_text({"root": {"inputs": {"a": [1]}}}), "not a list of strings"),
        (lock_text({"root": {"inputs": {"a": "a"}}}), "missing node 'a'"),
        (lock_text({"root": {"inputs": {"a": "root"}}}), "cycle to root node"),
        (lock_text({"root": {"inputs": {"a": "a"}}, "a": {}}), "attribute 'locked' missing"),
        (lock_text({"root": {"inputs": {"a": "a"}}, "a": {"locked": PINNED}}), "attribute 'original' missing"),
        (lock_text({"root": {"inputs": {"a": "a"}}, "a": {"locked": [], "original": NAMED}}), "not an object"),
        (lock_text({"root": {"inputs": {"a": "a"}}, "a": {"locked": NAMED, "original": NAMED}}), "unlocked input"),
        (
            lock_text({"root": {"inputs": {"a": "a"}}, "a": {"locked": {**PINNED, "x": []}, "original": NAMED}}),
            "unsupported input attribute type",
        ),
        (
            lock_text({"root": {"inputs": {"a": "a"}}, "a": {"locked": {**PINNED, "x": 1}, "original": NAMED}}),
            "not supported by scheme",
        ),
        (
            lock_text({"root": {"inputs": {"a": "a"}}, "a": {"locked": PINNED, "original": NAMED, "flake": 1}}),
            "not a Boolean",
        ),
    ],
)
def test_hostile_lock_files_are_refused(text: str, message: str) -> None:
    with pytest.raises(FrazilError, match=message):
        LockFile.parse(text, "flake.lock")


def test_invalid_utf8_is_refused() -> None:
    with pytest.raises(LockFileError, match="Could not parse"):
        LockFile.parse(b'{"\xff": 1}', "flake.lock")


def test_depth_is_bounded() -> None:
    nodes: dict[str, object] = {"root": {"inputs": {"x": "n0"}}}
    for i in range(MAX_DEPTH + 5):
        nodes[f"n{i}"] = {"inputs": {"x": f"n{i + 1}"}, "locked": PINNED, "original": NAMED}
    with pytest.raises(LockFileError, match="deep"):
        LockFile.parse(lock_text(nodes), "flake.lock")


def test_version_5_keeps_its_information_apart() -> None:
    entry = {"locked": PINNED, "info": {"lastModified": 5}, "original": NAMED}
    lock = LockFile.parse(lock_text({"root": {"inputs": {"a": "a"}}, "a": entry}, version=5), "flake.lock")
    node = lock.root.inputs["a"]
    assert isinstance(node, LockedNode)
    assert node.locked.last_modified == 5


def test_an_entry_with_only_a_hash_is_warned_of() -> None:
    entry = {
        "locked": {"type": "git", "url": "file:///x", "narHash": "sha256-" + "A" * 43 + "="},
        "original": {"type": "git", "url": "file:///x"},
    }
    warned: list[str] = []
    text = lock_text({"root": {"inputs": {"a": "a"}}, "a": entry})
    lock = LockFile.parse(text, "flake.lock", warn=warned.append)
    assert "is unlocked" in warned[0]
    assert lock.unlocked_input(allow_dirty_locks=False) is not None
    assert lock.unlocked_input(allow_dirty_locks=True) is None


names = st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True)
paths = st.lists(names, min_size=1, max_size=3).map(tuple)


def nodes_of(children: st.SearchStrategy[LockedNode]) -> st.SearchStrategy[LockedNode]:
    return st.builds(
        lambda inputs, name, is_flake, parent: LockedNode(
            inputs, locked=locked(name).locked, original=indirect(name), is_flake=is_flake, parent=parent
        ),
        st.dictionaries(names, st.one_of(children, paths), max_size=3),
        names,
        st.booleans(),
        st.one_of(st.none(), paths),
    )


graphs = st.recursive(st.builds(locked, names), nodes_of, max_leaves=8).map(
    lambda node: LockFile(Node(dict(node.inputs)))
)


@given(graphs)
def test_round_trip(lock: LockFile) -> None:
    text = lock.to_string()
    again = LockFile.parse(text, "flake.lock")
    assert again == lock
    assert again.to_string() == text
    assert differences(lock, again) == []
