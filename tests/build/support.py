"""Stores, derivations and events for tests of builds. Derivations are made here, without the evaluator."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

from frazil.activity import ActivityType, Field, Reporter, ResultType, Started, Verbosity
from frazil.build.result import BuildResult
from frazil.build.scheduler import realise
from frazil.build.settings import BuildSettings, current_system
from frazil.build.shell import find_shell
from frazil.store.config import StoreConfig
from frazil.store.content_address import ContentAddress
from frazil.store.derivation import Deferred, Derivation, DerivationOutput, Fixed, fill_in_output_paths
from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath
from frazil.store.local import LocalStore
from frazil.store.path import StorePath


class Events(Reporter):
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.messages: list[tuple[Verbosity, str]] = []
        self.lines: list[str] = []
        self.hook_lines: list[str] = []
        self.phases: list[str] = []
        self.started: list[tuple[ActivityType, str]] = []
        self.running: set[int] = set()
        self.building: set[int] = set()
        self.most_at_once = 0
        self.estimates: list[float] = []

    def estimate(self, seconds: float) -> None:
        self.estimates.append(seconds)

    def log(self, level: Verbosity, text: str) -> None:
        self.messages.append((level, text))

    def start(self, activity: Started) -> None:
        self.started.append((activity.kind, activity.text))
        self.running.add(activity.identifier)
        if activity.kind is ActivityType.BUILD:
            self.building.add(activity.identifier)
            self.most_at_once = max(self.most_at_once, len(self.building))

    def result(self, identifier: int, kind: ResultType, fields: Sequence[Field]) -> None:
        assert identifier in self.running
        if kind is ResultType.BUILD_LOG_LINE:
            self.lines.append(str(fields[0]))
        if kind is ResultType.POST_BUILD_LOG_LINE:
            self.hook_lines.append(str(fields[0]))
        if kind is ResultType.SET_PHASE:
            self.phases.append(str(fields[0]))

    def stop(self, identifier: int) -> None:
        self.running.remove(identifier)
        self.building.discard(identifier)


@cache
def namespaces_missing() -> str | None:
    """Why builds cannot be isolated here, as a reason to skip; None where they can."""
    from frazil.build.view import run_at

    shells = [source for _, source in find_shell()]
    if not any(os.path.basename(shell) == "busybox" for shell in shells):
        return "builders in these tests need a static busybox (Debian: busybox-static)"
    try:
        status = run_at("/nix/store", os.path.dirname(__file__), ["/bin/sh", "-c", "exit 7"], os.environ)
    except Exception as error:
        return f"no user namespaces here: {error}"
    return None if status == 7 else "a program in a namespace could not be run"


def need_namespaces() -> None:
    reason = namespaces_missing()
    if reason is not None:
        pytest.skip(reason)


class Lab:
    """A store of its own in a folder, at its logical place (`diverted=False`) or shown at /nix/store."""

    def __init__(self, root: Path, *, diverted: bool = True) -> None:
        environment = {} if diverted else {"NIX_STORE_DIR": f"{root}/store", "NIX_STATE_DIR": f"{root}/state"}
        if not diverted:
            environment["NIX_LOG_DIR"] = f"{root}/log"
        uri = f"local?root={root}" if diverted else "local"
        self.root = root
        self.store = LocalStore(StoreConfig.from_uri(uri, environment))
        self.events = Events()

    def derivation(
        self,
        script: str,
        *,
        name: str = "thing",
        outputs: Mapping[str, DerivationOutput] | Sequence[str] = ("out",),
        needs: Sequence[StorePath] = (),
        sources: Sequence[StorePath] = (),
        builder: str = "/bin/sh",
        platform: str | None = None,
        fixed: ContentAddress | None = None,
        **environment: str,
    ) -> StorePath:
        """A stored derivation that runs `script`. An input's path comes by `path_of`, or `@NAME@` in the script."""
        declared = outputs if isinstance(outputs, Mapping) else dict.fromkeys(outputs, Deferred())
        if fixed is not None:
            declared = {"out": Fixed(fixed)}
        for need in needs:
            for output, path in self.store.read_derivation(need).output_paths(self.store.directory).items():
                if path is not None:
                    end = "" if output == "out" else f".{output}"
                    script = script.replace(f"@{need.derivation_name}{end}@", self.store.show(path))
        drv = Derivation(
            name=name,
            outputs=declared,
            input_derivations={need: frozenset(self.store.read_derivation(need).outputs) for need in needs},
            input_sources=frozenset(sources),
            platform=platform or ("builtin" if builder.startswith("builtin:") else current_system()),
            builder=builder,
            arguments=() if builder.startswith("builtin:") else ("-c", script),
            environment={"name": name, **dict.fromkeys(declared, ""), **environment},
        )
        drv = fill_in_output_paths(drv, self.store.directory, self.store.modulo)
        return self.store.write_derivation(drv, check=False)

    def settings(self, **changes: object) -> BuildSettings:
        return BuildSettings(**changes)  # type: ignore[arg-type]

    def build(self, *derivations: StorePath, mode: str = "normal", **settings: object) -> list[BuildResult]:
        targets = [DerivedPath(path, ALL_OUTPUTS) for path in derivations]
        return realise(self.store, targets, self.settings(**settings), self.events, mode=mode)

    def real(self, result: BuildResult, output: str = "out") -> Path:
        return Path(self.store.real_path(result.outputs[output]))

    def build_text(self, script: str, **options: object) -> str:
        """What a script wrote to `$out`."""
        (result,) = self.build(self.derivation(script, **options))  # type: ignore[arg-type]
        return self.real(result).read_text()

    def left_over(self) -> list[str]:
        """Build directories and chroots that should be gone."""
        state = self.store.config.state_dir + "/builds"
        found = os.listdir(state) if os.path.isdir(state) else []
        return found + [name for name in os.listdir(self.store.config.real_store_dir) if name.endswith(".chroot")]
