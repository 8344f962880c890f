"""Package names of `nix-env`: selectors, versions, and which of several packages is meant. Source: its manual page."""

from __future__ import annotations

from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from frazil.cli.context import Context
    from frazil.cli.user_env import Element

_MAXIMUM_SUGGESTIONS = 3


class Selector:
    """`NAME`, `NAME-VERSION`, `*`; the name is an extended regular expression."""

    def __init__(self, text: str) -> None:
        self.full = text
        self.name, self.version = split_name(text)
        self.hits = 0
        self._pattern: object = None

    def matches(self, text: str) -> bool:
        name, version = split_name(text)
        if self.name != "*" and not self._fits(name):
            return False
        return not self.version or self.version == version

    def _fits(self, name: str) -> bool:
        if self.name == name:
            return True
        import re

        if self._pattern is None:
            try:
                self._pattern = re.compile(self.name)
            except re.error as error:
                raise FrazilError(f"'{self.full}' is not a regular expression: {error}") from error
        assert isinstance(self._pattern, re.Pattern)
        return self._pattern.fullmatch(name) is not None


def split_name(text: str) -> tuple[str, str]:
    """`foo-1.0` → ("foo", "1.0"): the version begins after the first dash that no letter follows."""
    for index, character in enumerate(text[:-1]):
        if character == "-" and not (text[index + 1].isascii() and text[index + 1].isalpha()):
            return text[:index], text[index + 1 :]
    return text, ""


def compare(left: str, right: str) -> int:
    from frazil.lang.versions import compare_versions

    return int(compare_versions(left, right))


def choose(context: Context, elements: Sequence[Element], words: Sequence[str], *, newest_only: bool) -> list[Element]:
    """Those that selectors name, each once. Raises FrazilError for a selector that names none."""
    found: list[Element] = []
    done: set[int] = set()
    for word in words or ["*"]:
        selector = Selector(word)
        matches = [(index, element) for index, element in enumerate(elements) if selector.matches(element.name)]
        selector.hits = len(matches)
        if not matches and selector.full != "*":
            raise _no_match(elements, selector)
        if newest_only:
            matches = _newest(context, matches)
        for index, element in matches:
            if index not in done:
                done.add(index)
                found.append(element)
    return found


def _no_match(elements: Sequence[Element], selector: Selector) -> FrazilError:
    text = f"selector '{selector.full}' matches no derivations"
    similar: list[str] = []
    for element in elements:
        name = split_name(element.name)[0]
        if name.startswith(selector.name) and name not in similar:
            similar.append(name)
            if len(similar) >= _MAXIMUM_SUGGESTIONS:
                break
    if similar:
        text += ", maybe you meant:" + "".join(f"\n{name}" for name in sorted(similar))
    return FrazilError(text)


def _newest(context: Context, matches: Sequence[tuple[int, Element]]) -> list[tuple[int, Element]]:
    """Of one name: that of this system, of the highest priority, of the highest version, the first."""
    newest: dict[str, tuple[int, Element]] = {}
    several: set[str] = set()
    system = context.settings.system
    for match in matches:
        element = match[1]
        name, version = split_name(element.name)
        other = newest.get(name)
        order = 1
        if other is not None:
            order = _compare(element, version, other[1], system)
        if order > 0:
            newest[name] = match
            several.discard(element.name)
        elif order == 0:
            several.add(element.name)
    for name in sorted(newest):
        if name in several:
            context.warn(f"there are multiple derivations named '{name}'; using the first one")
    return [newest[name] for name in sorted(newest)]


def _compare(one: Element, version: str, other: Element, system: str) -> int:
    if one.system != other.system:
        if one.system == system:
            return 1
        if other.system == system:
            return -1
    if one.priority != other.priority:
        return 1 if one.priority < other.priority else -1
    return compare(version, split_name(other.name)[1])
