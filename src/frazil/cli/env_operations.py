"""`nix-env` with packages: installing, upgrading, removing, querying. Source: its manual page."""

from __future__ import annotations

import os
import stat

from frazil.cli import env_names, user_env
from frazil.cli.context import Context
from frazil.cli.env_names import Selector, choose, split_name
from frazil.cli.evaluation import auto_arguments, file_argument, make_session, with_deep_stack, working_directory
from frazil.cli.legacy_env import profile_path
from frazil.cli.options import Arguments
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from frazil.cli.user_env import Element
    from frazil.instantiate.session import Session

_MAXIMUM_EXPRESSIONS = 1024


class Environment:
    """One run of `nix-env`: where packages come from, which profile is changed."""

    def __init__(self, context: Context, arguments: Arguments, *, read_only: bool = False) -> None:
        self.context, self.arguments = context, arguments
        self.session: Session = make_session(context, arguments, pure=False, read_only=read_only or context.read_only)
        self.given = auto_arguments(self.session, arguments)
        self.profile = profile_path(context, arguments)
        self.dry_run = arguments.flag("dry-run")

    # -- what is available -------------------------------------------------------------------------------------------

    def _source(self) -> str:
        """The file or folder that packages come from, as a path of the language."""
        text = self.arguments.value("file")
        if text is not None:
            return file_argument(self.session, text)
        return os.fsencode(_default_expressions(self.context)).decode("latin-1")

    def root(self) -> Any:
        """The value of the source: a folder without `default.nix` is a set of what it holds."""
        path = self._source()
        real = os.fsdecode(self.session.effects.real(path))
        if _is_expression(real):
            return self.session.evaluator.eval_file(path)
        if not os.path.isdir(real):
            raise FrazilError(f"path '{real}' is not a directory or a Nix expression")
        found: dict[str, Any] = {"_combineChannels": []}
        self._collect(path, real, found)
        return self.session.evaluator.make_attrs(found)

    def _collect(self, path: str, real: str, found: dict[str, Any]) -> None:
        for name in sorted(os.listdir(real)):
            if name == "manifest.nix":
                continue
            below = os.path.join(real, name)
            inner = f"{path}/{os.fsencode(name).decode('latin-1')}"
            if not os.path.exists(below):
                continue  # a link that leads nowhere
            if _is_expression(below) and (os.path.isdir(below) or os.path.realpath(below).endswith(".nix")):
                self._add_expression(name.removesuffix(".nix"), inner, real, found)
            elif os.path.isdir(below):
                self._collect(inner, below, found)

    def _add_expression(self, name: str, path: str, folder: str, found: dict[str, Any]) -> None:
        key = os.fsencode(name).decode("latin-1")
        if key in found:
            hint = ""
            if "channels" in path and "channels" in folder:
                hint = f"\nsuggestion: remove '{name}' from either the root channels or the user channels"
            self.context.warn(f"name collision in input Nix expressions, skipping '{path}'{hint}")
            return
        if len(found) > _MAXIMUM_EXPRESSIONS:
            raise FrazilError(f"too many Nix expressions in directory '{folder}'")
        evaluator = self.session.evaluator
        resolved = os.fsencode(os.path.realpath(self.session.effects.real(path))).decode("latin-1")
        found[key] = evaluator.lazy(lambda: evaluator.eval_file(resolved))

    def available(self, prefix: str = "") -> list[Element]:
        """All derivations, of the systems wanted."""
        from frazil.cli.legacy_instantiate import select_path

        value = self.root()
        if prefix:
            value = select_path(self.session, value, prefix, self.given)
        found = self._elements(value, prefix)
        system = self.arguments.value("system-filter", "*")
        return found if system == "*" else [element for element in found if element.system == system]

    def _elements(self, value: Any, path: str = "") -> list[Element]:
        from frazil.flake.derivations import find_derivations

        packages = find_derivations(
            self.session.evaluator, value, self.session.effects.directory, self.given, path=path, skip_failing=True
        )
        return [user_env.Element(self.session, package) for package in packages]

    def sources(self, words: Sequence[str], *, newest_only: bool) -> list[Element]:
        """What the arguments mean, by the options that say what they are."""
        arguments = self.arguments
        kinds = [key for key, _ in arguments.order if key in ("attr", "from-expression", "from-profile")]
        kind = kinds[-1] if kinds else "store-paths" if words and "/" in words[0] else "names"
        if kind == "names":
            return choose(self.context, self.available(), words, newest_only=newest_only)
        if kind == "from-profile":
            elements = self.installed(os.path.abspath(arguments.value("from-profile") or ""))
            return choose(self.context, elements, words, newest_only=newest_only)
        if kind == "store-paths":
            return [self._stored(word) for word in words]
        found = []
        for word in words:
            found += self._elements(self._by_attribute(word) if kind == "attr" else self._by_function(word))
        return found

    def _by_attribute(self, word: str) -> Any:
        from frazil.cli.legacy_instantiate import select_path

        return select_path(self.session, self.root(), word, self.given)

    def _by_function(self, word: str) -> Any:
        evaluator = self.session.evaluator
        return evaluator.call(evaluator.eval_string(os.fsencode(word), working_directory()), self.root())

    def _stored(self, word: str) -> Element:
        store = self.context.store
        path = store.follow_links_to_store_path(word)
        if not path.is_derivation:
            return user_env.Element(self.session, None, name=path.name, out_path=path)
        output = store.query_derivation_outputs(path).get("out")
        if output is None:
            raise FrazilError(f"derivation '{store.show(path)}' has no output 'out' whose path is known")
        return user_env.Element(self.session, None, name=path.name, drv_path=path, out_path=output)

    # -- what is installed -------------------------------------------------------------------------------------------

    def installed(self, profile: str | None = None) -> list[Element]:
        return user_env.installed(self.context, self.session, profile or self.profile)

    def is_prebuilt(self, element: Element) -> bool:
        return self.context.store.is_valid(element.out_path)

    def print_missing(self, elements: Sequence[Element]) -> None:
        from frazil.activity import Verbosity
        from frazil.cli.build_command import print_missing
        from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath

        targets = []
        for element in elements:
            drv = element.drv_path
            targets.append(DerivedPath(element.out_path) if drv is None else DerivedPath(drv, ALL_OUTPUTS))
        self.session.flush()
        print_missing(self.context, targets, Verbosity.INFO)

    def change(self, elements: Callable[[], list[Element] | None]) -> None:
        """Makes what `elements` gives the profile; asked again where somebody else was faster. None: do nothing."""
        from frazil.store.profile import Profile

        while True:
            token = Profile(self.profile).token()
            wanted = elements()
            if wanted is None:
                return
            keep = self.context.settings.boolean("keep-env-derivations")
            if user_env.create(self.context, self.session, wanted, self.profile, keep_derivations=keep, token=token):
                return


def _is_expression(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and os.path.exists(os.path.join(path, "default.nix")))


def _default_expressions(context: Context) -> str:
    """`~/.nix-defexpr`, made with links to channels where it is missing."""
    from frazil.cli.legacy_env import profiles_folder, user_state

    home = context.settings.environment.get("HOME") or os.path.expanduser("~")
    path = os.path.join(home, ".nix-defexpr")
    if context.settings.boolean("use-xdg-base-directories"):
        path = os.path.join(user_state(context), "defexpr")
    if not os.path.lexists(path):
        try:
            os.makedirs(path)
            os.symlink(os.path.join(profiles_folder(context), "channels"), os.path.join(path, "channels"))
            if os.geteuid() != 0:
                root = os.path.join(context.store_config.state_dir, "profiles", "per-user", "root", "channels")
                os.symlink(root, os.path.join(path, "channels_root"))
        except OSError:
            pass  # then there are no packages by default
    return path


# -- operations ----------------------------------------------------------------------------------------------------


def install(context: Context, arguments: Arguments) -> None:
    priority = arguments.value("priority")
    if priority is not None and not priority.removeprefix("-").isdigit():
        raise UsageError("'--priority' requires an integer argument")
    with_deep_stack(lambda: _install(Environment(context, arguments), priority))


def _install(env: Environment, priority: str | None) -> None:
    arguments = env.arguments
    new = env.sources(arguments.positional, newest_only=True)
    if arguments.flag("prebuilt-only"):
        new = [element for element in new if env.is_prebuilt(element)]
    name = arguments.value("force-name")
    for element in new:
        if name:
            element.name = name
        if priority is not None:
            element.set_meta("priority", priority)
    names = {split_name(element.name)[0] for element in new}

    def elements() -> list[Element] | None:
        wanted = list(new)
        if not arguments.flag("remove-all"):
            for element in env.installed():
                replaced = not arguments.flag("preserve-installed") and split_name(element.name)[0] in names
                if replaced and not element.is_kept:
                    env.context.note(f"replacing old '{element.name}'")
                else:
                    wanted.append(element)
            for element in new:
                env.context.note(f"installing '{element.name}'")
        env.print_missing(new)
        return None if env.dry_run else wanted

    env.change(elements)


def upgrade(context: Context, arguments: Arguments) -> None:
    kinds = [key for key, _ in arguments.order if key in ("lt", "leq", "eq", "always")]
    with_deep_stack(lambda: _upgrade(Environment(context, arguments), kinds[-1] if kinds else "lt"))


def _upgrade(env: Environment, kind: str) -> None:
    def elements() -> list[Element] | None:
        available = env.sources(env.arguments.positional, newest_only=False)
        wanted = [_upgraded(env, element, available, kind) for element in env.installed()]
        env.print_missing(wanted)
        return None if env.dry_run else wanted

    env.change(elements)


def _upgraded(env: Environment, element: Element, available: Sequence[Element], kind: str) -> Element:
    """The best that is available under the same name, or the element itself."""
    if element.is_kept:
        return element
    name, version = split_name(element.name)
    best: Element | None = None
    best_version = ""
    for other in available:
        other_name, other_version = split_name(other.name)
        if other_name != name or other.priority > element.priority:
            continue
        order = env_names.compare(version, other_version)
        if not {"lt": order < 0, "leq": order <= 0, "eq": order == 0, "always": True}[kind]:
            continue
        if best is not None:
            better = (other.priority < best.priority) - (other.priority > best.priority)
            if (better or -env_names.compare(best_version, other_version)) <= 0:
                continue
        if not env.arguments.flag("prebuilt-only") or env.is_prebuilt(other):
            best, best_version = other, other_version
    if best is None or best.out_path == element.out_path:
        return element
    verb = "upgrading" if env_names.compare(version, best_version) <= 0 else "downgrading"
    env.context.note(f"{verb} '{element.name}' to '{best.name}'")
    return best


def uninstall(context: Context, arguments: Arguments) -> None:
    with_deep_stack(lambda: _uninstall(Environment(context, arguments)))


def _uninstall(env: Environment) -> None:
    def elements() -> list[Element] | None:
        left = env.installed()
        for word in env.arguments.positional:
            if "/" in word:
                path = env.context.store.follow_links_to_store_path(word)
                gone = [element for element in left if element.out_path == path]
            else:
                selector = Selector(word)
                gone = [element for element in left if selector.matches(element.name)]
            if not gone:
                env.context.warn(f"selector '{word}' matched no installed derivations")
            for element in gone:
                env.context.note(f"uninstalling '{element.name}'")
            left = [element for element in left if element not in gone]
        return None if env.dry_run else left

    env.change(elements)


def set_flag(context: Context, arguments: Arguments) -> None:
    if len(arguments.positional) < 2:
        raise UsageError("not enough arguments to '--set-flag'")
    with_deep_stack(lambda: _set_flag(Environment(context, arguments)))


def _set_flag(env: Environment) -> None:
    name, value, *words = env.arguments.positional
    selectors = [Selector(word) for word in words]

    def elements() -> list[Element] | None:
        found = env.installed()
        for element in found:
            for selector in selectors:
                if selector.matches(element.name):
                    env.context.note(f"setting flag on '{element.name}'")
                    selector.hits += 1
                    element.set_meta(name, value)
                    break
        for selector in selectors:
            if selector.hits == 0 and selector.full != "*":
                raise FrazilError(f"selector '{selector.full}' matches no derivations")
        return found

    env.change(elements)


def set_to(context: Context, arguments: Arguments) -> None:
    with_deep_stack(lambda: _set_to(Environment(context, arguments)))


def _set_to(env: Environment) -> None:
    from frazil.cli.build_command import build_paths
    from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath
    from frazil.store.profile import Profile

    context = env.context
    found = env.sources(env.arguments.positional, newest_only=True)
    if len(found) != 1:
        raise FrazilError("--set requires exactly one derivation")
    (element,) = found
    env.print_missing([element])
    if env.dry_run:
        return
    drv = element.drv_path
    build_paths(
        context, [DerivedPath(element.out_path) if drv is None else DerivedPath(drv, ALL_OUTPUTS)], announce=False
    )

    def add_root(text: str, link: str) -> None:
        context.store.add_permanent_root(context.store.parse(text), link)

    Profile(env.profile).set(context.store.show(element.out_path), add_root)


def query(context: Context, arguments: Arguments) -> None:
    from frazil.cli.env_query import run_query

    with_deep_stack(lambda: run_query(Environment(context, arguments, read_only=True)))
