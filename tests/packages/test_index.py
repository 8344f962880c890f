"""Dependencies from a small index."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.packages.conftest import Evaluate, write_index


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    return write_index(
        tmp_path / "debian",
        {
            "libc6": {"depends": [["libgcc-s1"]], "version": "2.41-12+deb13u4"},
            "libgcc-s1": {"depends": [["libc6"]]},
            "bash": {"depends": [["libc6"], ["debconf", "debconf-2.0"]], "version": "5.2.37-2+b10"},
            "app": {"depends": [["absent", "virtual-a"], ["libc6"], ["nowhere"]], "version": "2:1.2+dfsg2~rc1-3.1"},
            "liba": {"depends": [["libb"]], "provides": ["virtual-a"]},
            "libb": {"depends": [["libc"], ["libc6"]]},
            "libc": {"depends": [["liba"]]},
            "perl": {"depends": [["perl-base"], ["libperl5.40"], ["zlib1g"]]},
            "perl-base": {},
            "libperl5.40": {"depends": [["perl-modules-5.40"]]},
            "perl-modules-5.40": {},
            "zlib1g": {"version": "1:1.3.dfsg+really1.3.1-1+b1"},
        },
    )


def ask(evaluate: Evaluate, debian: Path, text: str) -> object:
    head = f'import (packages + "/debian") {{ debian = "{debian}"; system = "x86_64-linux"; }}'
    return evaluate(f"with {head}; {text}")


def test_alternatives_and_virtual_packages(evaluate: Evaluate, debian: Path) -> None:
    assert ask(evaluate, debian, 'unitRequires "app"') == ["@glibc", "liba"]


def test_cycles_share_a_store_object(evaluate: Evaluate, debian: Path) -> None:
    assert ask(evaluate, debian, 'map cycleOf [ "liba" "libb" "libc" "app" ]') == [
        ["liba", "libb", "libc"],
        ["liba", "libb", "libc"],
        ["liba", "libb", "libc"],
        ["app"],
    ]


def test_groups(evaluate: Evaluate, debian: Path) -> None:
    assert ask(evaluate, debian, 'unitMembers "@perl"') == ["libperl5.40", "perl", "perl-base", "perl-modules-5.40"]
    assert ask(evaluate, debian, 'unitRequires "@perl"') == ["zlib1g"]
    assert ask(evaluate, debian, 'unitRequires "bash"') == ["@glibc"]


@pytest.mark.parametrize(
    ("name", "version"), [("bash", "5.2.37"), ("app", "1.2"), ("libc6", "2.41"), ("zlib1g", "1.3.1")]
)
def test_upstream_versions(evaluate: Evaluate, debian: Path, name: str, version: str) -> None:
    assert ask(evaluate, debian, f'upstreamVersion "{name}"') == version


def test_unknown_package(evaluate: Evaluate, debian: Path) -> None:
    from frazil.errors import FrazilError

    with pytest.raises(FrazilError, match="has no package 'absent'"):
        ask(evaluate, debian, 'index.get "absent"')


def test_a_system_without_packages_has_their_names(evaluate: Evaluate, debian: Path) -> None:
    from frazil.errors import FrazilError

    load = 'builtins.scopedImport { derivation = attributes: attributes; } (packages + "/debian/default.nix")'
    there = f'({load} {{ debian = "{debian}"; system = "aarch64-darwin"; }})'
    assert evaluate(f'({there}.package "app").name') == "app-1.2"
    for needed in (f'({there}.package "app").plan', f'({there}.fetchPackage "app").url'):
        with pytest.raises(FrazilError, match="no packages for the system 'aarch64-darwin'"):
            evaluate(needed)
    outputs = f'(import (packages + "/flake.nix")).outputs {{ self.outPath = "/x"; debian = "{debian}"; }}'
    assert evaluate(f"({outputs}).legacyPackages ? aarch64-darwin") is True
