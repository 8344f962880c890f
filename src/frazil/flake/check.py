"""`flake check`: every known output has the shape it should have; what `checks` holds is to be built.

In: the value of a flake. Out: errors and warnings through callbacks, and the derivations to build with their attribute
paths. Source: the manual page of `nix flake check`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frazil.errors import FrazilError
from frazil.flake.checked import CheckResult
from frazil.flake.derivations import package_of
from frazil.flake.errors import FlakeError
from frazil.flake.flake_file import add_trace
from frazil.flake.show import display, show_name
from frazil.flake.workers import Workers
from frazil.lang.errors import EvalBaseError
from frazil.lang.runtime import force, force_attrs, force_string, force_string_no_context, is_derivation
from frazil.lang.values import MISSING, Attrs, Lambda
from frazil.store.path import StoreDirectory, StorePath

if TYPE_CHECKING:
    from frazil.flake.parts import Parts
    from frazil.instantiate.recording import ReadRecorder

Value = Any
REPLACEMENTS = {
    "defaultPackage": "packages.<system>.default",
    "defaultApp": "apps.<system>.default",
    "defaultTemplate": "templates.default",
    "defaultBundler": "bundlers.<system>.default",
    "overlay": "overlays.default",
    "devShell": "devShells.<system>.default",
    "nixosModule": "nixosModules.default",
}
UNCHECKED = frozenset(
    {
        "lib",
        "darwinConfigurations",
        "darwinModules",
        "flakeModule",
        "flakeModules",
        "herculesCI",
        "homeConfigurations",
        "homeModule",
        "homeModules",
        "nixopsConfigurations",
    }
)


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """`enter_worker`: called in a process that evaluates a part; gives a function that says whether anything was
    logged. None: everything is evaluated in this process."""

    system: str
    all_systems: bool = False
    keep_going: bool = False
    enter_worker: Callable[[], Callable[[], bool]] | None = None
    recorder: ReadRecorder | None = None
    is_there: Callable[[list[str]], bool] = lambda paths: True
    """Whether the store has these derivations, and keeps them."""


class _Redo(Exception):
    """A worker has met something that the parent must see for itself."""


class Checker:
    """`step` gets what is being done, `say` a line of result, `show_error` an error that `keep_going` lets pass;
    `allow_imports` is told whether the next output may import from derivations."""

    def __init__(
        self,
        evaluator: Any,
        directory: StoreDirectory,
        options: CheckOptions,
        step: Callable[[str], None],
        say: Callable[[str], None],
        warn: Callable[[str], None],
        show_error: Callable[[FrazilError], None],
        allow_imports: Callable[[bool], None],
        show_path: Callable[[str], str] = str,
    ) -> None:
        self.show_path: Callable[[str], str] = lambda path: show_path(display(path))
        self.evaluator, self.directory, self.options = evaluator, directory, options
        self.step, self.say, self.warn = step, say, warn
        self.show_error, self.allow_imports = show_error, allow_imports
        self.result = CheckResult()
        self.workers: Workers | None = None
        self.heard: Callable[[], bool] | None = None
        self.remembered: Parts | None = None
        self.by_system: dict[str, Callable[[str, Value, int], object]] = {
            "formatter": self.derivation,
            "defaultPackage": self.derivation,
            "devShell": self.derivation,
            "defaultApp": self.app,
            "defaultBundler": self.bundler,
        }
        self.by_system_and_name: dict[str, Callable[[str, Value, int], object]] = {
            "packages": self.derivation,
            "devShells": self.derivation,
            "apps": self.app,
            "bundlers": self.bundler,
        }
        self.by_name: dict[str, Callable[[str, Value, int], object]] = {
            "overlays": self.overlay,
            "nixosModules": self.module,
            "nixosConfigurations": self.configuration,
            "templates": self.template,
        }
        self.single: dict[str, Callable[[str, Value, int], object]] = {
            "overlay": self.overlay,
            "nixosModule": self.module,
            "hydraJobs": self.jobs,
            "defaultTemplate": self.template,
        }

    def check(self, flake: Attrs, remembered: Parts | None = None) -> CheckResult:
        """`remembered`: what earlier runs found out about parts, and what this one does."""
        self.remembered = remembered
        outputs = force_attrs(flake.lookup("outputs"), "while evaluating the outputs of a flake")
        parts = self.parts(outputs) if self.options.enter_worker is not None and self.options.all_systems else {}
        groups = {key: key[1] for key in parts}
        finish = None
        if remembered is not None:
            remembered.before_fork()
            finish = remembered.flush
        workers = Workers(groups, lambda key: self.work(parts[key]), self.warn, self.options.recorder, finish)
        with workers as self.workers:
            return self.check_outputs(outputs)

    def check_outputs(self, outputs: Attrs) -> CheckResult:
        # Hydra's jobs first, since only there importing from derivations is refused; then as they are written.
        for name in self.in_order(outputs):
            self.step(f"checking flake output '{display(name)}'")
            position = outputs.position(name)
            with self.reporting(position, f"while checking flake output '{display(name)}'"):
                self.allow_imports(name != "hydraJobs")
                self.output(name, outputs.lookup(name), position)
        return self.result

    def in_order(self, outputs: Attrs) -> list[str]:
        return sorted(outputs.names(), key=lambda name: (name != "hydraJobs", outputs.position(name)))

    # -- in several processes ---------------------------------------------------------------------

    def parts(self, outputs: Attrs) -> dict[tuple[str, ...], tuple[str, str, Value, int]]:
        """(output, system, value, position) of what can be checked apart; nothing if looking for it fails."""
        found: dict[tuple[str, ...], tuple[str, str, Value, int]] = {}
        try:
            for name in self.in_order(outputs):
                if name == "checks" or name in self.by_system or name in self.by_system_and_name:
                    for system, item, position in _items(outputs.lookup(name)):
                        found[name, system] = (name, system, item, position)
        except FrazilError:
            return {}
        return found

    def work(self, part: tuple[str, str, Value, int]) -> dict[str, Any]:
        """In another process: what checking a part says and finds. Raises anything where that is not all."""

        def redo(_: object) -> None:
            raise _Redo

        if self.heard is None:
            assert self.options.enter_worker is not None
            self.heard = self.options.enter_worker()
            if self.remembered is not None:
                self.remembered.enter_worker()
        again: list[str] = []
        if self.remembered is not None:
            self.remembered.again = again.append
        said: list[tuple[str, str]] = []
        self.step, self.say = (lambda text: said.append(("step", text))), (lambda text: said.append(("say", text)))
        self.warn = self.show_error = redo
        self.result = CheckResult()
        self.check_part(*part)
        if self.heard():
            raise _Redo
        derivations = [[self.directory.show(path), names] for path, names in self.result.derivations.items()]
        return {"said": said, "derivations": derivations, "again": again}

    def take(self, name: str, system: str, item: Value, position: int) -> None:
        """A part, from a worker where one has it."""
        found = self.workers.result((name, system)) if self.workers is not None else None
        if found is None:
            self.check_part(name, system, item, position)
            return
        if self.remembered is not None:
            self.remembered.say_again(found["again"])
        for kind, text in found["said"]:
            (self.step if kind == "step" else self.say)(text)
        for path, names in found["derivations"]:
            self.result.derivations.setdefault(self.directory.parse(path), []).extend(names)

    def check_part(self, name: str, system: str, item: Value, position: int) -> None:
        """One system of an output."""
        if name in self.by_system:
            path = f"{name}.{system}"
            self.part(path, self.by_system[name], path, item, position)
            return
        for child, value, place in _items(item):
            path = f"{name}.{system}.{child}"
            if name == "checks":
                self.part(path, self.check_one, system, path, value, place)
            else:
                self.part(path, self.by_system_and_name[name], path, value, place)

    # -- what is remembered -----------------------------------------------------------------------

    def part(self, path: str, check: Callable[..., object], *arguments: object) -> None:
        """One attribute: what an earlier run said and found, where nothing that it rests on is different."""
        if self.remembered is None:
            check(*arguments)
            return
        detail = {"path": path}
        found = self.remembered.known(detail, self.is_part)
        if found is None:
            self.remembered.evaluate(detail, lambda: self.listen(check, *arguments))
            return
        for kind, text in found["said"]:
            {"step": self.step, "say": self.say, "warn": self.warn}[kind](text)
        for shown, names in found["derivations"]:
            self.result.derivations.setdefault(self.directory.parse(shown), []).extend(names)

    def listen(self, check: Callable[..., object], *arguments: object) -> dict[str, Any] | None:
        """What a check says and finds; None where an error was let pass. It is one part, whatever is in it."""
        outer = self.step, self.say, self.warn, self.result, self.remembered
        said: list[tuple[str, str]] = []

        def heard(kind: str, tell: Callable[[str], None]) -> Callable[[str], None]:
            def hear(text: str) -> None:
                said.append((kind, text))
                tell(text)

            return hear

        self.step, self.say, self.warn = heard("step", outer[0]), heard("say", outer[1]), heard("warn", outer[2])
        own = self.result = CheckResult()
        self.remembered = None
        try:
            check(*arguments)
        finally:
            self.step, self.say, self.warn, self.result, self.remembered = outer
            self.result.has_errors = self.result.has_errors or own.has_errors
        for path, names in own.derivations.items():
            self.result.derivations.setdefault(path, []).extend(names)
        if own.has_errors:
            return None
        rows = [[self.directory.show(path), names] for path, names in own.derivations.items()]
        return {"said": said, "derivations": rows, "needs": [row[0] for row in rows]}

    def is_part(self, answer: Mapping[str, Any]) -> bool:
        """Whether it has the shape of what `listen` gives, and its derivations are there."""
        said, rows = answer.get("said"), answer.get("derivations")
        if not isinstance(said, list) or not isinstance(rows, list):
            return False
        pairs = all(isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) for row in [*said, *rows])
        kinds = pairs and all(kind in ("step", "say", "warn") and isinstance(text, str) for kind, text in said)
        return kinds and self.options.is_there([path for path, _ in rows])

    @contextmanager
    def reporting(self, position: int, text: str) -> Iterator[None]:
        """Adds a step to an error; lets it pass where the check goes on after errors."""
        try:
            yield
        except FrazilError as error:
            if isinstance(error, EvalBaseError):
                error.positions = error.positions or self.evaluator.positions
                error.add_trace(position, text)
            else:
                add_trace(error, text, self.evaluator.positions.position(position) if position > 0 else None)
            self.report(error)

    def report(self, error: FrazilError) -> None:
        if not self.options.keep_going:
            raise error
        self.show_error(error)
        self.result.has_errors = True

    # -- outputs ----------------------------------------------------------------------------------

    def output(self, name: str, value: Value, position: int) -> None:
        force(value)
        if name in REPLACEMENTS:
            self.warn(f"flake output attribute '{name}' is deprecated; use '{REPLACEMENTS[name]}' instead")
        if name == "checks" or name in self.by_system or name in self.by_system_and_name:
            for system, item, place in self.systems(value):
                self.take(name, system, item, place)
        elif name in self.by_name:
            for child, child_value, place in _items(value):
                self.part(f"{name}.{child}", self.by_name[name], f"{name}.{child}", child_value, place)
        elif name in self.single:
            self.single[name](name, value, position)
        elif name == "legacyPackages":
            for _ in self.systems(value):
                pass
        elif name not in UNCHECKED:
            self.warn(f"unknown flake output '{display(name)}'")

    def systems(self, value: Value) -> Iterator[tuple[str, Value, int]]:
        """The systems that are to be checked; the others are remembered as left out."""
        for system, item, position in _items(value):
            if "-" not in system:
                place = self.evaluator.positions.position(position) if position > 0 else None
                self.report(FlakeError(f"'{system}' is not a valid system type, at {place or '«none»:0'}"))
            if self.options.all_systems or system == self.options.system:
                yield system, item, position
            else:
                self.result.omitted_systems.add(system)

    def check_one(self, system: str, path: str, value: Value, position: int) -> None:
        drv_path = self.derivation(path, value, position)
        if drv_path is None:
            self.report(FlakeError(f"'checks.{system}.drvPath' does not exist"))
        elif system == self.options.system:
            self.result.derivations.setdefault(drv_path, []).append(path)

    # -- kinds of values --------------------------------------------------------------------------

    def derivation(self, path: str, value: Value, position: int) -> StorePath | None:
        self.step(f"checking derivation {path}")
        drv_path = None
        with self.reporting(position, f"while checking the derivation '{path}'"):
            package = package_of(self.evaluator, value, self.directory)
            if package is None:
                raise FlakeError(f"flake attribute '{path}' is not a derivation")
            drv_path = package.drv_path
            if drv_path is not None:
                self.say(f"derivation evaluated to {self.directory.show(drv_path)}")
        return drv_path

    def app(self, path: str, value: Value, position: int) -> None:
        self.step(f"checking app '{path}'")
        with self.reporting(position, f"while checking the app definition '{path}'"):
            app = force_attrs(value, "")
            for name in ("type", "program"):
                if not app.has(name):
                    raise FlakeError(f"app '{path}' lacks attribute '{name}'")
            with placed(app, "type"):
                force_string_no_context(app.lookup("type"), "")
            with placed(app, "program"):
                force_string(app.lookup("program"), set(), "")
            self.app_meta(path, app.lookup("meta"))
            for name in app.names():
                if name not in ("type", "program", "meta"):
                    raise FlakeError(f"app '{path}' has unsupported attribute '{display(name)}'")

    def app_meta(self, path: str, meta: Value) -> None:
        if meta is MISSING:
            self.warn(f"app '{path}' lacks attribute 'meta'")
            return
        text = force_attrs(meta, "").lookup("description")
        if text is MISSING:
            self.warn(f"app '{path}' lacks attribute 'meta.description'")
        else:
            force_string_no_context(text, "")

    def overlay(self, path: str, value: Value, position: int) -> None:
        self.step(f"checking overlay '{path}'")
        with self.reporting(position, f"while checking the overlay '{path}'"):
            function = force(value)
            if not isinstance(function, Lambda):
                raise FlakeError(f"overlay is not a function, but {self.evaluator.type_name(function)} instead")
            if self.argument_name(function) not in ("final", "_", "_final"):
                raise FlakeError("overlay does not take an argument named 'final'")

    def argument_name(self, function: Lambda) -> str | None:
        """The name in `name: …`, None for a function with formals."""
        from frazil.flake.literal import argument_name

        return argument_name(function)

    def module(self, path: str, value: Value, position: int) -> None:
        self.step(f"checking NixOS module '{path}'")
        with self.reporting(position, f"while checking the NixOS module '{path}'"):
            force(value)

    def configuration(self, path: str, value: Value, position: int) -> None:
        from frazil.flake.selection import select

        self.step(f"checking NixOS configuration '{path}'")
        with self.reporting(position, f"while checking the NixOS configuration '{path}'"):
            names = ("config", "system", "build", "toplevel")
            top_level = select(self.evaluator, value, names, {})
            if not isinstance(top_level, Attrs) or not is_derivation(top_level):
                raise FlakeError("attribute 'config.system.build.toplevel' is not a derivation")

    def jobs(self, path: str, value: Value, position: int) -> None:
        self.step(f"checking Hydra job '{path}'")
        with self.reporting(position, f"while checking the Hydra jobset '{path}'"):
            jobs = force_attrs(value, "")
            if is_derivation(jobs):
                raise FlakeError("jobset should not be a derivation at top-level")
            for name, item, place in _items(jobs):
                self.part(f"{path}.{name}", self.job, f"{path}.{name}", item, place)

    def job(self, path: str, value: Value, position: int) -> None:
        if is_derivation(force_attrs(value, "")):
            self.step(f"checking Hydra job '{path}'")
            self.derivation(path, value, position)
        else:
            self.jobs(path, value, position)

    def template(self, path: str, value: Value, position: int) -> None:
        self.step(f"checking template '{path}'")
        with self.reporting(position, f"while checking the template '{path}'"):
            template = force_attrs(value, "")
            if not template.has("path"):
                raise FlakeError(f"template '{path}' lacks attribute 'path'")
            from frazil.lang.runtime import coerce_to_path

            folder = coerce_to_path(self.evaluator, template.lookup("path"), set(), "")
            if self.evaluator.effects.file_type(folder) is None:
                raise FlakeError(f"template '{path}' refers to a non-existent path '{self.show_path(folder)}'")
            if not template.has("description"):
                raise FlakeError(f"template '{path}' lacks attribute 'description'")
            with placed(template, "description"):
                force_string_no_context(template.lookup("description"), "")
            for name in template.names():
                if name not in ("path", "description", "welcomeText"):
                    raise FlakeError(f"template '{path}' has unsupported attribute '{display(name)}'")

    def bundler(self, path: str, value: Value, position: int) -> None:
        self.step(f"checking bundler '{path}'")
        with self.reporting(position, f"while checking the template '{path}'"):
            if not isinstance(force(value), Lambda):
                raise FlakeError("bundler must be a function")


@contextmanager
def placed(attrs: Attrs, name: str) -> Iterator[None]:
    """An error without a place happened at an attribute."""
    try:
        yield
    except EvalBaseError as error:
        if error.pos <= 0:
            error.pos = attrs.position(name)
        raise


def _items(value: Value) -> list[tuple[str, Value, int]]:
    """(name, value, position) of a set's attributes, as they are written."""
    attrs = force_attrs(value, "")
    found = [(show_name(name), item, attrs.position(name)) for name, item in attrs.items()]
    return sorted(found, key=lambda item: item[2])
