"""Version strings and derivation names, as `builtins.compareVersions` and its siblings see them.

In and out: byte strings. Source of truth: the manual's description of `builtins.compareVersions` and Nix's `names.cc`.
"""

from __future__ import annotations

import cython

INT_MAX = 2_147_483_647


@cython.cfunc
def _is_digit(c: cython.Py_UCS4) -> cython.bint:
    return "0" <= c <= "9"


@cython.ccall
def next_component(version: str, start: cython.Py_ssize_t):
    """(component, position after it): a run of digits, or of anything else; dots and dashes separate. "" at the end."""
    size: cython.Py_ssize_t = len(version)
    while start < size and (version[start] == "." or version[start] == "-"):
        start += 1
    end: cython.Py_ssize_t = start
    if end < size and _is_digit(version[end]):
        while end < size and _is_digit(version[end]):
            end += 1
    else:
        while end < size and not _is_digit(version[end]) and version[end] != "." and version[end] != "-":
            end += 1
    return version[start:end], end


@cython.ccall
def split_version(version: str) -> list:
    """All components."""
    parts: list = []
    position: cython.Py_ssize_t = 0
    while position < len(version):
        part, position = next_component(version, position)
        if not part:
            break
        parts.append(part)
    return parts


@cython.cfunc
def _as_number(component: str) -> object:
    """The number that a component of digits stands for; None for others and where it exceeds a C int."""
    if not component or not _is_digit(component[0]):
        return None
    digits = component.lstrip("0") or "0"
    if len(digits) > 10:
        return None
    number = int(digits)
    return number if number <= INT_MAX else None


@cython.cfunc
def _less(left: str, right: str) -> cython.bint:
    left_number = _as_number(left)
    right_number = _as_number(right)
    if left_number is not None and right_number is not None:
        return left_number < right_number
    if not left and right_number is not None:
        return True
    if left == "pre" and right != "pre":
        return True
    if right == "pre":
        return False
    if right_number is not None:
        return True
    if left_number is not None:
        return False
    return left < right


@cython.cfunc
def _skip_separators(version: str, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
    while at < len(version) and (version[at] == "." or version[at] == "-"):
        at += 1
    return at


@cython.cfunc
def _component_end(version: str, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Where the component that starts at `at` ends."""
    size: cython.Py_ssize_t = len(version)
    if at < size and _is_digit(version[at]):
        while at < size and _is_digit(version[at]):
            at += 1
    else:
        while at < size and not _is_digit(version[at]) and version[at] != "." and version[at] != "-":
            at += 1
    return at


@cython.ccall
def compare_versions(left: str, right: str) -> cython.int:
    """-1, 0 or 1."""
    left_at: cython.Py_ssize_t = 0
    right_at: cython.Py_ssize_t = 0
    while left_at < len(left) or right_at < len(right):
        left_at = _skip_separators(left, left_at)
        right_at = _skip_separators(right, right_at)
        left_end: cython.Py_ssize_t = _component_end(left, left_at)
        right_end: cython.Py_ssize_t = _component_end(right, right_at)
        left_part: str = left[left_at:left_end]
        right_part: str = right[right_at:right_end]
        left_at = left_end
        right_at = right_end
        if left_part == right_part:
            continue
        if _less(left_part, right_part):
            return -1
        if _less(right_part, left_part):
            return 1
    return 0


@cython.ccall
def parse_derivation_name(text: str):
    """(name, version): the version starts after the first dash that no letter follows."""
    i: cython.Py_ssize_t = text.find("-")
    while 0 <= i < len(text) - 1:
        c: cython.Py_UCS4 = text[i + 1]
        if not ("A" <= c <= "Z" or "a" <= c <= "z"):
            return text[:i], text[i + 1 :]
        i = text.find("-", i + 1)
    return text, ""
