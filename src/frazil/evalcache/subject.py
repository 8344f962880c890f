"""What a question consists of besides the attribute: settings and arguments, as JSON data.

In: the evaluation's frozen settings (`lang.settings.EvalSettings`). Out: everything in them that decides a value; of
whole subjects what they are about, and short digests of their parts, by which it can be said what is different.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

UNSEEN_SETTINGS = ("show_trace", "home_directory", "current_time")
"""Those that decide no value, or that are taken down when they are used."""


def settings_subject(settings: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in settings.field_defaults:
        if name not in UNSEEN_SETTINGS:
            value = getattr(settings, name)
            found[name] = sorted(value) if isinstance(value, frozenset) else value
    found["search_path"] = [
        [prefix, place if "://" in place or place.startswith(("/", "channel:", "flake:")) else absolute(place)]
        for prefix, place in settings.search_path
    ]
    return found


ABOUT = ("file", "expression", "input", "flake")
"""The parts that say what is evaluated, not how."""


def about(subject: Mapping[str, Any]) -> str:
    """A digest: the same for subjects that are about the same file, expression or flake of a tree."""
    return _digest({name: subject[name] for name in ABOUT if name in subject}, 32)


def parts(subject: Mapping[str, Any]) -> str:
    """What `differences` compares; values themselves are not kept."""
    from frazil import plain_json

    found: dict[str, Any] = {}
    for name, value in subject.items():
        if name == "settings":
            found[name] = {setting: _digest(of_setting, 8) for setting, of_setting in value.items()}
        elif name not in ABOUT:
            found[name] = _digest(value, 8)
    return plain_json.dumps(found)


def differences(old: str, new: str) -> list[str]:
    """Of two results of `parts`: names of parts that differ; of settings `setting NAME`."""
    from frazil import plain_json

    try:
        before, now = plain_json.loads(old.encode()), plain_json.loads(new.encode())
        settings = before.pop("settings", {}), now.pop("settings", {})
        found = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        names = [name for name in {**settings[0], **settings[1]} if settings[0].get(name) != settings[1].get(name)]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ["what is known about it"]
    return found + [f"setting {name}" for name in sorted(names)]


def _digest(value: object, size: int) -> str:
    from frazil import plain_json
    from frazil.evalcache.hashing import sha256

    return sha256(plain_json.dumps(value).encode("ascii")).hexdigest()[:size]


def absolute(place: str) -> str:
    folder = os.fsencode(os.getcwd())
    return os.path.normpath(os.path.join(folder, place.encode("latin-1"))).decode("latin-1")
