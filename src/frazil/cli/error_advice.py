"""What to do about an error, where the error itself does not say. In: an error. Out: sentences for `hint:`."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.errors import FrazilError

_FEATURE = re.compile(r"experimental Nix feature '([a-z-]+)' is disabled")
_SYSTEM = re.compile(r"Required system: '([^']*)'.*Current system: '([^']*)'", re.S)


def advice(error: FrazilError) -> list[str]:
    """None, one or several."""
    from frazil.cli.display import readable

    message = readable(error.message)
    found: list[str] = []
    near = [readable(name) for name in getattr(error, "near", ())]
    if near:
        found.append(f"did you mean {_either(near)}?")
    formals = getattr(error, "formals", "")
    if formals:
        from frazil.lang.errors import display

        found.append(f"the function takes {display(formals)}")
    feature = _FEATURE.search(message)
    if feature is not None:
        found.append(
            f"for good: echo 'extra-experimental-features = {feature[1]}' >> ~/.config/frazil/frazil.conf"
            if "--extra-experimental-features" in message
            else f"add '--extra-experimental-features {feature[1]}'"
        )
    system = _SYSTEM.search(message)
    if system is not None and not error.hint:
        found.append(
            f"this machine builds for {system[2]}: ask for that system's attribute, name '{system[1]}' in the setting "
            "'extra-platforms' where the machine can run such programs (qemu), or build it on one that is a "
            f"'{system[1]}'"
        )
    if message.startswith("stack overflow"):
        found.append(
            "a function that calls itself without end, or more than 'max-call-depth' allows (--option max-call-depth N)"
        )
    if message.startswith("infinite recursion encountered") and not getattr(error, "steps", ()):
        found.append("'--show-trace' shows how the value came to need itself")
    return found


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
