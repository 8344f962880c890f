"""`eval-cache why-miss`: what commands remember of a flake, a file or an expression, and why it no longer holds.

In: installables, as commands take them, or `--all` for what lies in the tree of this folder. Out: lines, and a status.
The questions that commands ask of such installables are asked first; then the database is looked through for all else
that is remembered of the same flake or file, whichever command wanted it.
"""

from __future__ import annotations

import os

from frazil.cli.base_directory import base_directory
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from frazil.cli.context import Context
    from frazil.cli.installables import Opened
    from frazil.cli.options import Arguments
    from frazil.cli.remembered import Remembered
    from frazil.evalcache.cache import EvaluationCache, Question, Subject
    from frazil.evalcache.database import About, Row

OF_COMMANDS = frozenset(
    {"readOnly", "setting allow_import_from_derivation", "setting pure", "setting restricted", "folder"}
)
"""What differs between commands that ask about the same thing."""
WHOLES = {"show-part": "show", "check-part": "check", "search-part": "search", "place": "derivations"}
"""Kinds of answers that are parts of others."""
SHOWN = {
    "show": "`flake show`",
    "check": "`flake check`",
    "search": "`search`",
    "shell": "`nix-shell`",
    "show-part": "`flake show`",
    "check-part": "`flake check`",
    "search-part": "`search`",
    "output": "value",
    "bash": "bash for `develop`",
}
UNKNOWN = (
    "nothing was remembered of it: it was not evaluated yet, or with other settings or arguments,",
    "or it asked for something that is never remembered, such as the current time",
)


class Finding:
    """All answers to one question, as far as people tell them apart. `reasons`: why those that do not hold do not."""

    def __init__(self, what: str, detail: Mapping[str, Any]) -> None:
        self.what, self.detail = what, detail
        self.holds = False
        self.reasons: dict[str, None] = {}

    def add(self, reason: str | None) -> None:
        if reason is None:
            self.holds = True
        else:
            self.reasons[reason] = None


class Findings:
    """By what they are called, in the order in which they were met."""

    def __init__(self) -> None:
        self.rows: dict[str, Finding] = {}
        self._asked: set[bytes] = set()

    def ask(self, what: str, cache: EvaluationCache, question: Question) -> None:
        """As a command would ask, but for the store objects that an answer names."""
        from frazil.evalcache.cache import Miss

        if question.digest in self._asked:
            return
        self._asked.add(question.digest)
        found = cache.ask(question)
        if not isinstance(found, Miss):
            self._of(what, question.detail).add(None)
        for reason in found.reasons if isinstance(found, Miss) else ():
            self._of(what, question.detail).add(reason)

    def look_through(self, cache: EvaluationCache, root: str, subjects: list[Subject] | None, names: set[str]) -> None:
        """`subjects`: how the thing may be asked about now; None for whatever is remembered. `names`: attributes."""
        from frazil.evalcache.program import identity

        program = identity(cache.database.program, cache.database.put_program)
        now = None if subjects is None else [(subject, subject.about()) for subject in subjects]
        for row, about in cache.database.related(root):
            detail = _read(row.detail)
            if detail is None or row.question in self._asked:
                continue
            if now is None:
                if about.about and '"lock":' not in about.parts:  # flakes' trees are asked about in their folders
                    self._of(row.description, detail).add(_other_program(row, program) or cache.why_not(row, root))
                continue
            if names.isdisjoint(_names(detail)) or not any(_is_about(row, about, *each) for each in now):
                continue
            different = min((_differences(about, each[1]) for each in now), key=len) if about.about else []
            reason = _other_program(row, program) or "; ".join(different) or cache.why_not(row, root)
            self._of(describe(detail), detail).add(reason)

    def _of(self, what: str, detail: Mapping[str, Any]) -> Finding:
        return self.rows.setdefault(what, Finding(what, detail))

    def report(self, context: Context) -> int:
        """Parts are shown where they have to be evaluated, and the whole is not known to hold."""
        wholes = {str(each.detail.get("kind")) for each in self.rows.values() if each.holds}
        shown = 0
        misses = 0
        for each in self.rows.values():
            whole = WHOLES.get(str(each.detail.get("kind")))
            if whole is not None and (each.holds or whole in wholes):
                continue
            shown += 1
            if each.holds:
                context.print(f"{each.what}: remembered")
                continue
            misses += 1
            context.print(f"{each.what}: has to be evaluated")
            for reason in each.reasons:
                context.print(f"  {reason}")
        for line in () if shown else UNKNOWN:
            context.print(line)
        return 0 if shown and not misses else 1


def _read(text: str) -> Mapping[str, Any] | None:
    from frazil import plain_json

    try:
        detail = plain_json.loads(text)
    except (ValueError, RecursionError):
        return None
    return detail if isinstance(detail, dict) and _is_detail(detail) else None


def _is_detail(detail: Mapping[str, Any]) -> bool:
    """Whether it is as commands write it: what others exported, or a damaged row, may be anything."""
    words = detail.get("words") or []
    return (
        isinstance(detail.get("kind"), str)
        and isinstance(detail.get("path") or "", list | str)
        and all(isinstance(detail.get(name) or [], list) for name in ("flags", "paths", "words"))
        and all(isinstance(given, list) for given in words)
    )


def _names(detail: Mapping[str, Any]) -> set[str]:
    """The attributes that a question is about."""
    path = detail.get("path")
    if path is not None:
        return {path if isinstance(path, str) else ".".join(map(str, path))}
    found: list[object] = []
    for key in ("attribute", "paths"):
        value = detail.get(key)
        found += value if isinstance(value, list) else [] if value is None else [value]
    names = {"" if name == "." else str(name) for name in found}
    return names or {""}


def _shown_word(word: object) -> str:
    """Words that are searched for are byte strings."""
    return os.fsdecode(str(word).encode("latin-1", "replace"))


def describe(detail: Mapping[str, Any]) -> str:
    """What a question wants to know."""
    kind = str(detail["kind"])
    words = [SHOWN.get(kind, kind)]
    words += [f"--{flag}" for flag in detail.get("flags") or ()]
    words += [f"'{_shown_word(word)}'" for given in detail.get("words") or () for word in given]
    if detail.get("apply") is not None:
        words.append("--apply")
    given = None if "path" in detail else detail.get("paths")
    paths = [str(path) for path in given or sorted(_names(detail))]
    name = paths[-1] if paths[0].endswith(f".{paths[-1]}") else paths[0]
    return " ".join(words) + (f" of '{name}'" if name or kind not in ("show", "check", "search", "shell") else "")


def _is_about(row: Row, about: About, subject: Subject, now: About) -> bool:
    """Of what came from elsewhere only the question itself can tell."""
    if about.about:
        return about.about == now.about
    from frazil.evalcache.cache import Question

    detail = _read(row.detail)
    return detail is not None and Question(subject, detail, b"/").digest == row.question


def _differences(about: About, now: About) -> list[str]:
    from frazil.evalcache.subject import differences

    words = {
        "lock": "its inputs were locked otherwise",
        "shape": "`self` had other attributes: the tree was clean and is not, or the other way round",
        "arguments": "it was asked with other arguments (`--arg`, `--argstr`)",
    }
    found = [name for name in differences(about.parts, now.parts) if name not in OF_COMMANDS]
    settings = ", ".join(name.removeprefix("setting ").replace("_", "-") for name in found if name not in words)
    said = [words[name] for name in found if name in words]
    return [*said, f"it was asked with other settings: {settings}"] if settings else said


def _other_program(row: Row, program: str) -> str | None:
    return None if row.program == program else "another version of the program found it"


# -- what can be asked about ---------------------------------------------------------------------------------------


def explain_misses(context: Context, arguments: Arguments) -> int:
    from frazil.cli.installables import Opened

    findings = Findings()
    file = arguments.value("file")
    if file is not None and file != "-" and not _is_named(file) and not os.path.lexists(file):
        raise FrazilError(f"path '{os.path.abspath(file)}' does not exist")
    opened = Opened(context, arguments)
    if arguments.flag("all"):
        if arguments.positional or arguments.has("file") or arguments.has("expr"):
            raise UsageError("'--all' asks about everything in this folder's tree, not about single installables")
        _ask_about_everything(context, arguments, findings)
        return findings.report(context)
    remembered = opened.remembered
    for text in opened.texts():
        if remembered is None:
            _ask_about_flake(context, arguments, findings, opened, text)
        else:
            _ask_about_file(findings, opened, remembered, text)
    return findings.report(context)


def _is_named(file: str) -> bool:
    """`<nixpkgs>`, a channel, a URL: found by what is not the name of a file."""
    return file.startswith(("<", "flake:", "channel:")) or "://" in file


def _ask_about_file(findings: Findings, opened: Opened, remembered: Remembered, text: str) -> None:
    from frazil.cli.eval_command import output_detail

    attribute = "" if text == "." else text
    for kind, name in (("derivations", attribute), ("targets", text)):
        findings.ask(f"{kind} of '{text}'", remembered.cache, remembered.question({"kind": kind, "attribute": name}))
    detail = output_detail(opened)
    if detail is not None and len(opened.texts()) == 1:
        findings.ask(f"value of '{text}'", remembered.cache, remembered.question(detail))
    for what, question in _places(remembered, attribute):
        findings.ask(what, remembered.cache, question)
    subject = remembered.question({"kind": ""}).subject
    findings.look_through(remembered.cache, os.fsdecode(remembered.root), [subject], {attribute})


def _places(remembered: Remembered, attribute: str) -> Iterator[tuple[str, Question]]:
    """The derivations of a list or set."""
    tree = remembered.tree(attribute)
    tree.ask(quietly=True)
    for place in [*tree.nodes, *tree.stale] if tree.nodes or tree.stale else ():
        shown = ".".join([*([attribute] if attribute else []), *place]) or "all of it"
        yield f"what '{shown}' holds", remembered.question(tree.detail(place))


def _ask_about_flake(
    context: Context, arguments: Arguments, findings: Findings, opened: Opened, text: str
) -> EvaluationCache | None:
    """-> where it was asked."""
    from frazil.cli.eval_command import output_detail
    from frazil.cli.installables import Opened
    from frazil.flake.outputs import FlakeInstallable

    cache = None
    names: set[str] = set()
    subjects: list[Subject] = []
    for command, kinds in (("build", ("target",)), ("run", ("program",)), ("develop", ("develop", "target"))):
        (installable,) = Opened(context, arguments, command=command).parse([text])
        memory = installable.memory() if isinstance(installable, FlakeInstallable) else None
        if memory is None or not isinstance(installable, FlakeInstallable):
            continue
        paths = installable.attribute_paths()
        names.update(paths)
        for kind in kinds:
            question = memory.question({"kind": kind, "paths": paths})
            subjects.append(question.subject)
            findings.ask(f"{kind} of '{paths[0]}'", memory.cache, question)
        detail = output_detail(opened) if command == "build" and len(opened.texts()) == 1 else None
        if detail is not None:
            question = memory.question({**detail, "attribute": None, "paths": paths})
            findings.ask(f"value of '{paths[0]}'", memory.cache, question)
        cache, root = memory.cache, os.fsdecode(memory.root)
        context.at_close(cache.database.close)
    if cache is not None:
        if not text.partition("#")[2].partition("^")[0]:
            names.add("")
            names.update(_all_names(cache, root))
        findings.look_through(cache, root, subjects[:1], names)
    return cache


def _all_names(cache: EvaluationCache, root: str) -> Iterable[str]:
    """Of the parts of reports about a whole flake."""
    for row, _ in cache.database.related(root):
        detail = _read(row.detail)
        if detail is not None and detail["kind"] in WHOLES:
            yield from _names(detail)


def _ask_about_everything(context: Context, arguments: Arguments, findings: Findings) -> None:
    """Of flakes and files in the tree that this folder belongs to; of the flake in this folder also with what it is
    locked to now."""
    from frazil.cli.installables import Opened
    from frazil.cli.remembered import open_cache, root_of

    if os.path.exists(os.path.join(base_directory(), "flake.nix")):
        _ask_about_flake(context, arguments, findings, Opened(context, arguments), ".")
    root = root_of(os.fsencode(base_directory()))
    findings.look_through(open_cache(context, root), os.fsdecode(root), None, set())
