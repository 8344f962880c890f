"""The functions of `frazil` itself: those of one session that is made when it is first needed."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

from frazil.api.session import Session
from frazil.api.values import Derivation, Output

_lock = threading.Lock()
_session: Session | None = None


def _forget() -> None:
    """A forked process has no thread that evaluates, and begins anew."""
    global _lock, _session
    _lock = threading.Lock()
    _forgotten.append(_session)  # not freed: what it holds is the other process's
    _session = None


_forgotten: list[Session | None] = []
os.register_at_fork(after_in_child=_forget)


def _default() -> Session:
    global _session
    with _lock:
        if _session is None:
            _session = Session()
        return _session


def evaluate(
    expression: str | bytes, *, scope: Mapping[str, Any] | None = None, directory: str | os.PathLike[str] = "."
) -> Any:
    """`Session.evaluate` of the process's session."""
    return _default().evaluate(expression, scope=scope, directory=directory)


def evaluate_file(
    path: str | os.PathLike[str], attribute: str = "", *, arguments: Mapping[str, Any] | None = None
) -> Any:
    """`Session.evaluate_file` of the process's session."""
    return _default().evaluate_file(path, attribute, arguments=arguments)


def get_flake(
    reference: str | os.PathLike[str] = ".",
    *,
    overrides: Mapping[str, str | os.PathLike[str]] | None = None,
    write_lock_file: bool = False,
) -> Any:
    """`Session.get_flake` of the process's session."""
    return _default().get_flake(reference, overrides=overrides, write_lock_file=write_lock_file)


def realise(*derivations: Derivation) -> list[dict[str, Output]]:
    """`Session.realise` of the process's session."""
    return _default().realise(*derivations)


def to_nix(value: Any) -> str:
    """`Session.to_nix` of the process's session."""
    return _default().to_nix(value)


def close() -> None:
    """Ends the process's session; the next use makes a new one, which reads files again."""
    global _session
    with _lock:
        ended, _session = _session, None
    if ended is not None:
        ended.close()
