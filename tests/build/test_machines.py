"""The setting `builders`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.build.machines import Machine, parse_machines
from frazil.errors import FrazilError, UsageError


def one(text: str) -> Machine:
    (found,) = parse_machines(text, ["x86_64-linux"])
    return found


def test_all_columns() -> None:
    found = one("ssh://me@host i686-linux,x86_64-linux /key 4 2.5 kvm,big must YQ==")
    assert found == Machine(
        "ssh://me@host",
        frozenset({"i686-linux", "x86_64-linux"}),
        "/key",
        4,
        2.5,
        frozenset({"kvm", "big"}),
        frozenset({"must"}),
        "YQ==",
    )


def test_defaults_and_dashes() -> None:
    assert one("host - - -") == Machine("ssh://host", frozenset({"x86_64-linux"}))
    assert one("/some/store").address == "/some/store"
    assert one("daemon").address == "daemon"
    assert one("host - - 1 0").speed == 1.0


def test_several_with_comments(tmp_path: Path) -> None:
    file = tmp_path / "machines"
    file.write_text("c # a comment\n\n# nothing\nd\n")
    found = parse_machines(f"a ; b\n@{file}; @/no/such/file", [])
    assert [machine.address for machine in found] == ["ssh://a", "ssh://b", "ssh://c", "ssh://d"]


def test_a_file_that_includes_itself(tmp_path: Path) -> None:
    file = tmp_path / "machines"
    file.write_text(f"@{file}")
    with pytest.raises(UsageError, match="too deeply"):
        parse_machines(f"@{file}", [])


@pytest.mark.parametrize(
    "text", ["-", "h - - many", "h - - -1", "h - - 1 fast", "h - - 1 -2", "h - - 1 inf", "h - - 1 1 - - ***"]
)
def test_nonsense(text: str) -> None:
    with pytest.raises(UsageError):
        parse_machines(text, [])


@given(st.text(st.characters(blacklist_characters="@"), max_size=60))
def test_any_text_is_machines_or_an_error(text: str) -> None:
    try:
        parse_machines(text, ["x"])
    except FrazilError:
        pass


def test_what_a_machine_can_build() -> None:
    machine = one("h - - 1 1 kvm must")
    assert machine.can_build("x86_64-linux", frozenset({"must"}))
    assert machine.can_build("builtin", frozenset({"must", "kvm"}))
    assert not machine.can_build("x86_64-linux", frozenset({"kvm"}))
    assert not machine.can_build("x86_64-linux", frozenset({"must", "other"}))
    assert not machine.can_build("aarch64-linux", frozenset({"must"}))


def test_the_store_of_a_machine() -> None:
    parameters = one("ssh://h?system-features=a - /key 1 1 b c YQ==").reference().parameters
    assert parameters == {
        "system-features": "a b c",
        "max-connections": "1",
        "log-fd": "4",
        "ssh-key": "/key",
        "base64-ssh-public-host-key": "YQ==",
    }
    assert "ssh-key" not in one("/store - /key").reference().parameters
