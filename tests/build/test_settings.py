"""Settings of builds, and the paths that a sandbox shows besides the inputs."""

from __future__ import annotations

import pytest

from frazil.build.sandbox import Mount
from frazil.build.sandbox_paths import parse_mount
from frazil.build.settings import BuildSettings, current_system
from frazil.errors import UsageError


def test_defaults() -> None:
    settings = BuildSettings()
    assert settings.platforms >= {current_system()}
    assert settings.build_cores >= 1
    assert settings.with_(cores=3).build_cores == 3
    assert not settings.has_feature("ca-derivations")


@pytest.mark.parametrize(
    "wrong", [{"sandbox": "maybe"}, {"timeout": -1}, {"sandbox_build_dir": "relative"}, {"sandbox_build_dir": "/"}]
)
def test_values_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        BuildSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/a", Mount("/a", "/a")),
        ("/a=/b", Mount("/a", "/b")),
        ("/a=/b?", Mount("/a", "/b", optional=True)),
        ("/a?", Mount("/a", "/a", optional=True)),
    ],
)
def test_sandbox_paths(text: str, mount: Mount) -> None:
    assert parse_mount(text) == mount
