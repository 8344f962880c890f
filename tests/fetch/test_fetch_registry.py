from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from frazil.fetch.errors import FetchError
from frazil.fetch.inputs import url_to_attributes
from frazil.fetch.registry import Entry, Registry, lookup, parse_entries, resolve, user_registry_path

if TYPE_CHECKING:
    from conftest import Fetcher, Server

REV = "0123456789abcdef0123456789abcdef01234567"


def registry(*pairs: tuple[str, str], **extra: Any) -> str:
    flakes = []
    for source, target in pairs:
        entry: dict[str, Any] = {"from": url_to_attributes(source), "to": url_to_attributes(target)}
        entry["to"].update({n: v for n, v in extra.items() if n != "exact"})
        flakes.append({**entry, **({"exact": True} if "exact" in extra else {})})
    return json.dumps({"version": 2, "flakes": flakes})


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def find(fetcher: Fetcher, url: str, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return lookup(url_to_attributes(url), fetcher.context, **options)


def test_embedded_set_has_a_name(fetcher: Fetcher) -> None:
    assert find(fetcher, "flake:frazilpkgs") == ({"type": "frazilpkgs"}, {})


def test_order(fetcher: Fetcher, tmp_path: Path) -> None:
    put(tmp_path / "system/registry.json", registry(("flake:a", "github:s/a"), ("flake:b", "github:s/b")))
    put(tmp_path / "config/registry.json", registry(("flake:a", "github:u/a")))
    put(tmp_path / "global.json", registry(("flake:a", "github:g/a"), ("flake:c", "github:g/c")))
    with_global = fetcher.with_settings(flake_registry=str(tmp_path / "global.json"))
    assert find(with_global, "flake:a")[0]["owner"] == "u"
    assert find(with_global, "flake:b")[0]["owner"] == "s"
    assert find(with_global, "flake:c")[0]["owner"] == "g"
    assert find(with_global, "flake:a", use="limited")[0]["owner"] == "g"
    assert find(with_global, "flake:a", use="no")[0]["type"] == "indirect"
    flags = Registry("flag", [Entry.make(url_to_attributes("flake:a"), url_to_attributes("github:f/a"))])
    assert find(with_global, "flake:a", flags=flags)[0]["owner"] == "f"


def test_references_are_carried_over(fetcher: Fetcher, tmp_path: Path) -> None:
    put(tmp_path / "config/registry.json", registry(("flake:a", "flake:b"), ("flake:b", "github:o/b"), dir="sub"))
    target, extra = find(fetcher, f"flake:a/{REV}")
    assert target == url_to_attributes(f"github:o/b/{REV}") and extra == {"dir": "sub"}
    assert resolve(url_to_attributes("flake:a/x"), fetcher.context) == (url_to_attributes("github:o/b/x"), "sub")


def test_exact_entries(fetcher: Fetcher, tmp_path: Path) -> None:
    put(tmp_path / "config/registry.json", registry(("flake:a", "github:o/a"), exact=True))
    assert find(fetcher, "flake:a")[0]["owner"] == "o"
    with pytest.raises(FetchError, match="cannot find flake 'flake:a/x'"):
        find(fetcher, "flake:a/x")


def test_unknown_and_circular(fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="cannot find flake 'flake:nope' in the flake registries") as caught:
        find(fetcher, "flake:nope")
    assert "./" in (caught.value.hint or "")
    put(tmp_path / "config/registry.json", registry(("flake:a", "flake:b"), ("flake:b", "flake:a")))
    with pytest.raises(FetchError, match="cycle detected"):
        find(fetcher, "flake:a")


def test_overrides(fetcher: Fetcher) -> None:
    overrides = {"nixpkgs": "frazilpkgs", "github:o/r": "path:/x?dir=y"}
    changed = fetcher.with_settings(input_overrides=overrides)
    for use in ("all", "limited"):
        assert find(changed, "flake:nixpkgs", use=use)[0] == {"type": "frazilpkgs"}
        assert find(changed, f"flake:nixpkgs/nixos-25.05/{REV}", use=use)[0] == {"type": "frazilpkgs"}
    assert find(changed, "github:o/r") == ({"type": "path", "path": "/x"}, {"dir": "y"})
    assert find(changed, "github:o/other")[0] == url_to_attributes("github:o/other")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 2, "flakes": 3}',
        '{"version": 2, "flakes": [1]}',
        '{"version": 2, "flakes": [{"from": {}, "to": {}}]}',
        "[" * 100_000,
    ],
)
def test_damaged_files_are_empty_with_a_warning(fetcher: Fetcher, tmp_path: Path, text: str) -> None:
    put(tmp_path / "config/registry.json", text)
    with pytest.raises(FetchError, match="cannot find flake"):
        find(fetcher, "flake:a")
    assert "cannot read flake registry" in fetcher.reporter.lines[0]


def test_writing(fetcher: Fetcher, tmp_path: Path) -> None:
    path = user_registry_path(fetcher.context.settings)
    made = Registry.read(path)
    made.replace(url_to_attributes("flake:a"), url_to_attributes("github:o/a"), "sub")
    made.replace(url_to_attributes("flake:b"), url_to_attributes("github:o/b"))
    made.replace(url_to_attributes("flake:b"), url_to_attributes("github:o/c"))
    made.write(path)
    again = Registry.read(path)
    assert [entry.to_json() for entry in again.entries] == [
        {"from": {"type": "indirect", "id": "a"}, "to": {"type": "github", "owner": "o", "repo": "a", "dir": "sub"}},
        {"from": {"type": "indirect", "id": "b"}, "to": {"type": "github", "owner": "o", "repo": "c"}},
    ]
    again.remove(url_to_attributes("flake:a"))
    assert len(again.entries) == 1
    assert Path(path).read_text().startswith('{\n  "flakes": [\n    {\n      "from": {\n        "id": "a",')


def test_global_registry_by_url(fetcher: Fetcher, server: Server) -> None:
    url = server.add("/registry.json", registry(("flake:a", "github:g/a")).encode())
    with_global = fetcher.with_settings(flake_registry=url)
    assert find(with_global, "flake:a")[0]["owner"] == "g"
    find(with_global, "flake:a")
    assert server.count("/registry.json") == 1
    find(with_global, "github:x/y")
    find(with_global, "flake:frazilpkgs")
    assert server.count("/registry.json") == 1


def test_names_without_a_network(fetcher: Fetcher) -> None:
    with_global = fetcher.with_settings(flake_registry="http://127.0.0.1:1/registry.json", download_attempts=1)
    with pytest.raises(FetchError) as caught:
        find(with_global, "flake:a")
    assert caught.value.hint is not None and "frazil registry add" in caught.value.hint


def test_nesting_is_bounded() -> None:
    with pytest.raises(FetchError, match="nested too deeply"):
        parse_entries('{"version": 2, "flakes": ' + "[" * 100_000, "r.json")
