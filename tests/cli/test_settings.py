"""Configuration files, the environment, types of settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import frazil
from frazil.build.settings import BuildSettings
from frazil.cli.room_settings import build_settings, eval_settings, parse_nix_path, search_entries, store_settings
from frazil.cli.settings import Settings, parse_configuration, parse_integer, user_files
from frazil.cli.settings_table import ALIASES, ROWS, WITHOUT_EFFECT
from frazil.errors import FrazilError, UsageError
from frazil.fetch.settings import FetchSettings
from frazil.lang.settings import EvalSettings
from frazil.store.config import StoreSettings


def make(environment: dict[str, str] | None = None) -> tuple[Settings, list[str]]:
    warnings: list[str] = []
    return Settings(environment or {}, warnings.append), warnings


def test_the_table_is_sound() -> None:
    names = [row[0] for row in ROWS]
    assert len(names) == len(set(names))
    assert set(ALIASES.values()) <= set(names)
    assert not set(ALIASES) & set(names)
    settings, warnings = make()
    for name, _, default, _ in ROWS:
        if default:
            settings.set(name, default)
    assert [w for w in warnings if "deprecated" not in w and "Ignoring" not in w] == []


def test_later_lines_count_and_extra_appends() -> None:
    settings, _ = make()
    settings.apply("substituters = a\nsubstituters = b # c\nextra-substituters = d\n", "x")
    assert settings.words("substituters") == ("b", "d")


def test_includes(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("cores = 7\n")
    main = tmp_path / "nix.conf"
    main.write_text("include more.conf\n!include absent.conf\n")
    assert list(parse_configuration(main.read_text(), str(main))) == [("cores", "7")]
    with pytest.raises(FrazilError, match=r"file '.*/absent.conf' included from '.*' not found"):
        list(parse_configuration("include absent.conf", str(main)))
    main.write_text("include nix.conf\n")
    with pytest.raises(UsageError, match="included more than"):
        list(parse_configuration(main.read_text(), str(main)))


@pytest.mark.parametrize("line", ["cores 7", "cores", "= 7 8"])
def test_bad_lines(line: str) -> None:
    with pytest.raises(UsageError, match="syntax error in configuration line"):
        list(parse_configuration(line, "nix.conf"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("keep-going", "maybe", "Boolean setting 'keep-going' has invalid value 'maybe'"),
        ("cores", "many", "setting 'cores' has invalid value 'many'"),
        ("cores", "-1", "setting 'cores' has invalid value '-1'"),
        ("sandbox", "perhaps", "option 'sandbox' has invalid value 'perhaps'"),
        ("max-jobs", "all", "configuration setting 'max-jobs' should be 'auto' or an integer"),
    ],
)
def test_bad_values(name: str, value: str, message: str) -> None:
    settings, _ = make()
    with pytest.raises(UsageError, match=message):
        settings.set(name, value)


def test_unknown_names_are_a_warning() -> None:
    settings, warnings = make()
    settings.set("coers", "1")
    settings.warn_unknown()
    assert warnings == ["unknown setting 'coers' (did you mean cores?)"]


def test_settings_of_features_that_are_off() -> None:
    settings, warnings = make()
    settings.apply("experimental-features = nix-command\naccept-flake-config = true", "x")
    assert not settings.boolean("accept-flake-config")
    assert warnings == ["Ignoring setting 'accept-flake-config' because experimental feature 'flakes' is not enabled"]


@given(st.integers(0, 2**63))
def test_integers_read_back(number: int) -> None:
    assert parse_integer("x", str(number)) == number


def test_units() -> None:
    assert parse_integer("x", "2K") == 2048
    assert parse_integer("x", "1G") == 1 << 30


def test_user_files_come_in_order() -> None:
    files = user_files({"HOME": "/h", "XDG_CONFIG_DIRS": "/a:/b"})
    assert files[:2] == ["/h/.config/frazil/frazil.conf", "/h/.config/nix/nix.conf"]
    assert files[-1] == "/b/nix/nix.conf"
    assert user_files({"NIX_USER_CONF_FILES": "/x:/y"}) == ["/x", "/y"]


def test_search_paths() -> None:
    assert parse_nix_path("a=/x:/y:n=https://e/t.tar.gz:z=channel:u:") == [
        "a=/x",
        "/y",
        "n=https://e/t.tar.gz",
        "z=channel:u",
    ]
    settings, _ = make({"NIX_PATH": "a=/x"})
    settings.load = lambda: None  # type: ignore[method-assign]
    assert search_entries(settings, ["b=/i"]) == ["b=/i", "a=/x"]


def test_rooms_get_typed_values() -> None:
    settings, _ = make({"HOME": "/h"})
    settings.apply("max-jobs = 3\nkeep-going = true\nsandbox = relaxed\nrequire-sigs = false", "x")
    build = build_settings(settings, print_build_logs=True)
    assert (build.max_jobs, build.keep_going, build.sandbox, build.print_build_logs) == (3, True, "relaxed", True)
    assert store_settings(settings).require_signatures is False
    evaluation = eval_settings(settings, pure=True, search_path=["x=/y"])
    assert evaluation.pure and evaluation.search_path == ()
    assert "fetch-tree" in evaluation.experimental_features


def test_an_option_with_a_bad_value_is_a_warning() -> None:
    settings, warnings = make()
    settings.set_option("cores", "many")
    assert settings.integer("cores") == 0
    assert warnings == ["setting 'cores' has invalid value 'many'"]


def test_what_has_no_effect_is_known_and_exists() -> None:
    settings, _ = make()
    assert set(WITHOUT_EFFECT) <= {row[0] for row in ROWS}
    settings.apply("remote-build-log-size = 7\nhttp3 = false", "x")
    assert settings.changed(WITHOUT_EFFECT) == ["remote-build-log-size"]


def read_fields(texts: list[str]) -> set[str]:
    """Settings that a room's record of settings holds, and that some code reads from it."""
    renamed = {"pure": "pure-eval", "restricted": "restrict-eval", "stalled_timeout": "stalled-download-timeout"}
    renamed |= {"require_signatures": "require-sigs", "reserved_space": "gc-reserved-space"}
    names: set[str] = set()
    for kind in (EvalSettings, StoreSettings, BuildSettings, FetchSettings):
        names |= set(getattr(kind, "field_defaults", None) or getattr(kind, "__dataclass_fields__", ()))
    words = {word for text in texts for word in re.findall(r"\.([a-z_0-9]+)\b", text)}
    return {renamed.get(name, name.replace("_", "-")) for name in names & words}


def test_every_setting_acts_or_says_that_it_does_not() -> None:
    folder = Path(frazil.__file__).parent
    # What is remembered of evaluations depends on settings that others act on.
    left_out = {"settings_table.py", "remembered.py"}
    texts = [p.read_text() for p in folder.rglob("*.py") if p.name not in left_out]
    acts = read_fields(texts) | {name for name, *_ in ROWS if any(f'"{name}"' in text for text in texts)}
    assert {name for name, *_ in ROWS} - acts - set(WITHOUT_EFFECT) == set()
    assert read_fields(texts) & set(WITHOUT_EFFECT) == set()
