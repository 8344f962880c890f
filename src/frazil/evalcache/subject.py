"""What a question consists of besides the attribute: settings and arguments, as JSON data.

In: the evaluation's frozen settings (`lang.settings.EvalSettings`). Out: everything in them that decides a value.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
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


def absolute(place: str) -> str:
    folder = os.fsencode(os.getcwd())
    return os.path.normpath(os.path.join(folder, place.encode("latin-1"))).decode("latin-1")
