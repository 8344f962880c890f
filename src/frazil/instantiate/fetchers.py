"""Builtins that fetch: `fetchurl`, `fetchTarball`, `fetchGit`, `fetchTree`, `fetchMercurial`, `fetchClosure`.

Source of truth: the manual's `language/builtins`. Fetching itself is the room `fetch`'s.
"""

from __future__ import annotations

import re

from frazil.digest import Hash
from frazil.errors import FrazilError
from frazil.instantiate.derivation import parse_hash_allow_empty, require_feature
from frazil.instantiate.paths import base_name
from frazil.instantiate.uris import resolve_pseudo_url
from frazil.lang.error_text import attribute_name
from frazil.lang.errors import CALL_SITE, EvalBaseError, EvalError, as_eval_error, byte_string
from frazil.lang.runtime import call_site, coerce_to_string, force, force_string_no_context, show_type
from frazil.lang.values import ContextString, PathValue, attrs_from_dict, make_string
from frazil.store.errors import BadStorePath
from frazil.store.path import check_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.fetch.inputs import FetchedTree, InputAttributes
    from frazil.instantiate.effects import StoreEffects
    from frazil.lang.values import Attrs

NO_REVISION = "0" * 40
_REVISION = re.compile(r"[0-9a-fA-F]{40}")


def to_system(text: str) -> str:
    """A byte string as the rooms that fetch have it."""
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def raise_as_eval_error(error: FrazilError) -> None:
    raise as_eval_error(error, CALL_SITE) from error


def fetch_context(evaluator: Any) -> Any:
    return evaluator.effects.fetch_context()


# -- fetchurl, fetchTarball ------------------------------------------------------------------------------------


def fetchurl(evaluator: Any, arguments: list[Any]) -> Any:
    return _fetch(evaluator, arguments[0], "fetchurl", "")


def fetch_tarball(evaluator: Any, arguments: list[Any]) -> Any:
    return _fetch(evaluator, arguments[0], "fetchTarball", "source")


def _read_arguments(evaluator: Any, argument: Any, who: str) -> tuple[str, Hash | None, str | None, bool]:
    """-> (url, hash, name, whether it was a set)"""
    value = force(argument)
    if not hasattr(value, "lookup"):
        return force_string_no_context(value, "while evaluating the url we should fetch"), None, None, False
    url: str | None = None
    expected: Hash | None = None
    name: str | None = None
    for key, item in value.items():
        if key == "url":
            url = force_string_no_context(item, "while evaluating the url we should fetch")
        elif key == "sha256":
            text = force_string_no_context(item, "while evaluating the sha256 of the content we should fetch")
            expected = parse_hash_allow_empty(text, "sha256", evaluator.effects)
        elif key == "name":
            name = force_string_no_context(item, "while evaluating the name of the content we should fetch")
        else:
            raise EvalError(f"unsupported argument '{key}' to '{who}'", pos=CALL_SITE)
    if url is None:
        raise EvalError("'url' argument required", pos=CALL_SITE)
    return url, expected, name, True


def _fetch(evaluator: Any, argument: Any, who: str, default_name: str) -> Any:
    url, expected, given_name, is_set = _read_arguments(evaluator, argument, who)
    if who == "fetchTarball":
        url = resolve_pseudo_url(url)
    effects: StoreEffects = evaluator.effects
    effects.check_uri(url)
    name = given_name or default_name or base_name(url)
    _check_fetch_name(name, url, who, given_name is not None, is_set)
    if evaluator.settings.pure and expected is None:
        raise EvalError(f"in pure evaluation mode, '{who}' requires a 'sha256' argument", pos=CALL_SITE)
    unpack = who == "fetchTarball"
    if expected is not None:
        path = effects.directory.make_fixed_output_path("nar" if unpack else "flat", expected, name)
        shown = effects.directory.show(path)
        if effects.is_known(shown):
            effects.note_fetched(shown, {}, {}, locked=True)
            effects.allow_path(shown)
            return make_string(shown, (shown,))
    try:
        return _download(effects, url, name, expected, unpack)
    except EvalBaseError:
        raise
    except FrazilError as error:
        if not unpack:
            # A file is no input of a flake to Nix.
            error.trace = [frame for frame in error.trace if not frame.text.startswith("while fetching the input '")]
        raise_as_eval_error(error)


def _download(effects: StoreEffects, url: str, name: str, expected: Hash | None, unpack: bool) -> Any:
    from frazil.fetch.inputs import fetch_tree

    if not unpack and ":" not in url:
        raise EvalError(f"URL '{url}' doesn't have a scheme", pos=CALL_SITE)
    attributes: InputAttributes = {"type": "tarball" if unpack else "file", "url": to_system(url), "name": name}
    if expected is not None and unpack:
        attributes["narHash"] = expected.sri
    tree = fetch_tree(attributes, effects.fetch_context())
    if not unpack:
        return _downloaded_file(effects, url, name, expected, tree, attributes)
    shown = effects.directory.show(tree.store_path)
    effects.note_fetched(shown, attributes, tree.attributes, locked=expected is not None)
    effects.allow_path(shown)
    return make_string(shown, (shown,))


def _downloaded_file(
    effects: StoreEffects, url: str, name: str, expected: Hash | None, tree: FetchedTree, attributes: InputAttributes
) -> Any:
    """Files are addressed flat by `fetchurl`, other than by `fetchTree`."""
    from frazil.store import nar

    actual, _ = nar.hash_flat(tree.real_path, "sha256")
    if expected is not None and actual != expected:
        raise EvalError(
            f"hash mismatch in file downloaded from '{url}':\n  specified: {expected}\n  got:       {actual}",
            exit_status=102,
            pos=CALL_SITE,
        )
    path = effects.directory.make_fixed_output_path("flat", actual, name)
    if not effects.store.is_valid(path):
        path = effects.store.add_path(name, tree.real_path, method="flat")
    shown = effects.directory.show(path)
    effects.note_fetched(shown, attributes, tree.attributes, locked=expected is not None)
    effects.allow_path(shown)
    return make_string(shown, (shown,))


def _check_fetch_name(name: str, url: str, who: str, name_given: bool, is_set: bool) -> None:
    try:
        check_name(name)
    except BadStorePath as error:
        if name_given:
            advice = (
                f"Please change the value for the 'name' attribute passed to '{who}', so that it can create a valid"
            )
        elif is_set:
            advice = f"Please add a valid 'name' attribute to the argument for '{who}', so that it can create a valid"
        else:
            advice = (
                f"Please pass an attribute set with 'url' and 'name' attributes to '{who}',  "
                "so that it can create a valid"
            )
        raise EvalError(
            f"invalid store path name when fetching URL '{url}': {error.message}. {advice} store path.",
            pos=CALL_SITE,
        ) from error


# -- fetchTree, fetchGit -----------------------------------------------------------------------------------------


def fetch_tree_builtin(evaluator: Any, arguments: list[Any]) -> Any:
    return _fetch_input(evaluator, arguments[0], is_git=False)


def fetch_git(evaluator: Any, arguments: list[Any]) -> Any:
    return _fetch_input(evaluator, arguments[0], is_git=True)


def fetch_final_tree(evaluator: Any, arguments: list[Any]) -> Any:
    return _fetch_input(evaluator, arguments[0], is_git=False, is_final=True)


def _fetch_input(evaluator: Any, argument: Any, *, is_git: bool, is_final: bool = False) -> Any:
    from frazil.fetch import inputs

    who = "fetchGit" if is_git else "fetchTree"
    where = call_site()
    value = force(argument)
    effects: StoreEffects = evaluator.effects
    try:
        if hasattr(value, "lookup"):
            attributes = _attributes_of(evaluator, value, who, is_git)
        else:
            attributes = _attributes_of_url(evaluator, value, who, is_git)
        if not evaluator.settings.pure and not inputs.is_direct(attributes):
            effects.not_repeatable("an input was looked up in registries")
            attributes = _resolve(attributes, effects)
        if evaluator.settings.pure and not inputs.is_locked(attributes, effects.fetch_settings):
            _refuse_unlocked(attributes, who, effects)
        effects.check_uri(byte_string(inputs.attributes_to_url(attributes)))
        if is_final:
            attributes["__final"] = True
        elif "__final" in attributes:
            raise EvalError(
                f"input '{inputs.attributes_to_url(attributes)}' is not allowed to use the '__final' attribute"
            )
        tree = inputs.fetch_tree(attributes, effects.fetch_context())
    except EvalBaseError:
        raise
    except FrazilError as error:
        raise_as_eval_error(error)
    path = effects.directory.show(tree.store_path)
    asked = {name: value for name, value in attributes.items() if name != "__final"}
    locked = "narHash" in asked or inputs.is_locked(asked, effects.fetch_settings)
    effects.note_fetched(path, asked, tree.attributes, locked=locked)
    effects.allow_path(path)
    return tree_attrs(evaluator, path, tree, attributes, empty_revision=is_git, pos=where)


def _attributes_of(evaluator: Any, value: Attrs, who: str, is_git: bool) -> InputAttributes:
    from frazil.fetch import inputs

    kind = _input_type(value, who, is_git)
    attributes: InputAttributes = {"type": kind}
    for key, item in value.items():
        if key != "type":
            attributes[to_system(key)] = _attribute(evaluator, key, force(item), who, is_git)
    if is_git and "exportIgnore" not in attributes and attributes.get("submodules") is not True:
        attributes["exportIgnore"] = True
    if kind == "git" and not is_git and "shallow" not in attributes:
        attributes["shallow"] = True
    if "name" in attributes and not is_git:
        raise EvalError(f"argument 'name' isn’t supported in call to '{who}'".encode().decode("latin-1"), pos=CALL_SITE)
    return inputs.check_attributes(attributes)


def _input_type(value: Attrs, who: str, is_git: bool) -> str:
    if not value.has("type"):
        if is_git:
            return "git"
        raise EvalError(f"argument 'type' is missing in call to '{who}'", pos=CALL_SITE)
    if is_git:
        raise EvalError("unexpected argument 'type'", pos=CALL_SITE)
    return force_string_no_context(value.lookup("type"), f"while evaluating the `type` argument passed to '{who}'")


def _attribute(evaluator: Any, key: str, value: Any, who: str, is_git: bool) -> str | int | bool:
    if isinstance(value, str | ContextString | PathValue):
        text = to_system(coerce_to_string(evaluator, value, set(), "", False, False))
        return _git_url(text) if is_git and key == "url" else text
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if value < 0:
            raise EvalError(f"negative value given for '{who}' argument '{key}': {value}", pos=CALL_SITE)
        return value
    if key == "publicKeys":
        from frazil.lang.json_writer import to_json_text

        require_feature(evaluator, "verified-fetches")
        return to_system(to_json_text(evaluator, value, set(), copy_to_store=True))
    raise EvalError(f"argument '{key}' to '{who}' is {show_type(value)} while a string, Boolean or integer is expected")


def _git_url(text: str) -> str:
    from frazil.fetch.url import fix_git_url

    return str(fix_git_url(text))


def _attributes_of_url(evaluator: Any, value: Any, who: str, is_git: bool) -> InputAttributes:
    from frazil.fetch import inputs

    text = to_system(
        coerce_to_string(
            evaluator, value, set(), f"while evaluating the first argument passed to '{who}'", False, False
        )
    )
    if is_git:
        return inputs.check_attributes({"type": "git", "url": _git_url(text), "exportIgnore": True})
    if "flakes" not in evaluator.settings.experimental_features:
        raise EvalError(
            f"passing a string argument to '{who}' requires the 'flakes' experimental feature", pos=CALL_SITE
        )
    return inputs.url_to_attributes(text)


def _resolve(attributes: InputAttributes, effects: StoreEffects) -> InputAttributes:
    from frazil.fetch.registry import lookup

    return lookup(attributes, effects.fetch_context(), use="limited")[0]


def _refuse_unlocked(attributes: InputAttributes, who: str, effects: StoreEffects) -> None:
    from frazil.fetch.inputs import attributes_to_url

    shown = attributes_to_url(attributes)
    if "narHash" in attributes:
        effects.warn(
            f"Input '{shown}' is unlocked (e.g. lacks a Git revision) but is checked by NAR hash. "
            "This is not reproducible and will break after garbage collection or when shared."
        )
        return
    raise EvalError(
        f"in pure evaluation mode, '{who}' doesn't fetch unlocked input '{byte_string(shown)}'", pos=CALL_SITE
    )


def tree_attrs(
    evaluator: Any, path: str, tree: FetchedTree, attributes: InputAttributes, *, empty_revision: bool, pos: int
) -> Any:
    """What `fetchTree` and `fetchGit` give, its attributes defined at `pos`. `empty_revision`: a dirty work tree has
    zeros for its revision."""
    import time

    locked = tree.attributes
    table: dict[str, Any] = {"outPath": ContextString(path, frozenset((path,)))}
    if isinstance(locked.get("narHash"), str):
        table["narHash"] = str(locked["narHash"])
    if attributes["type"] == "git":
        table["submodules"] = locked.get("submodules") is True
    revision = locked.get("rev")
    if isinstance(revision, str):
        table["rev"], table["shortRev"] = revision, revision[:7]
    elif empty_revision:
        table["rev"], table["shortRev"] = NO_REVISION, NO_REVISION[:7]
    if "revCount" in tree.lazy:
        table["revCount"] = evaluator.lazy(tree.lazy["revCount"])
    elif isinstance(locked.get("revCount"), int):
        table["revCount"] = locked["revCount"]
    elif empty_revision:
        table["revCount"] = 0
    for name in ("dirtyRev", "dirtyShortRev"):
        if isinstance(locked.get(name), str):
            table[name] = locked[name]
    modified = locked.get("lastModified")
    if isinstance(modified, int):
        table["lastModified"] = modified
        table["lastModifiedDate"] = time.strftime("%Y%m%d%H%M%S", time.gmtime(modified))
    return attrs_from_dict(table, dict.fromkeys(table, pos) if pos > 0 else None)


# -- fetchMercurial ----------------------------------------------------------------------------------------------


def fetch_mercurial(evaluator: Any, arguments: list[Any]) -> Any:
    from frazil.fetch.inputs import fetch_tree

    url, revision, name = _mercurial_arguments(evaluator, force(arguments[0]))
    effects: StoreEffects = evaluator.effects
    effects.check_uri(url)
    is_revision = revision is not None and _REVISION.fullmatch(revision) is not None
    if evaluator.settings.pure and not is_revision:
        raise EvalError("in pure evaluation mode, 'fetchMercurial' requires a Mercurial revision", pos=CALL_SITE)
    attributes: InputAttributes = {
        "type": "hg",
        "url": to_system(url if "://" in url else "file://" + url),
        "name": name,
    }
    if revision is not None:
        attributes["rev" if is_revision else "ref"] = to_system(revision)
    try:
        tree = fetch_tree(attributes, effects.fetch_context())
    except EvalBaseError:
        raise
    except FrazilError as error:
        raise_as_eval_error(error)
    path = effects.directory.show(tree.store_path)
    effects.note_fetched(path, attributes, tree.attributes, locked=is_revision)
    effects.allow_path(path)
    found = str(tree.attributes.get("rev", NO_REVISION))
    table: dict[str, Any] = {
        "outPath": ContextString(path, frozenset((path,))),
        "rev": found,
        "shortRev": found[:12],
    }
    if "ref" in tree.attributes:
        table["branch"] = byte_string(str(tree.attributes["ref"]))
    complete = tree.complete()
    if isinstance(complete.get("revCount"), int):
        table["revCount"] = complete["revCount"]
    return evaluator.make_attrs(table)


def _mercurial_arguments(evaluator: Any, value: Any) -> tuple[str, str | None, str]:
    if not hasattr(value, "lookup"):
        trace = "while evaluating the first argument passed to builtins.fetchMercurial"
        return coerce_to_string(evaluator, value, set(), trace, False, False), None, "source"
    url, revision, name = "", None, "source"
    for key, item in value.items():
        trace = f"while evaluating the `{key}` attribute passed to builtins.fetchMercurial"
        if key == "url":
            url = coerce_to_string(evaluator, item, set(), trace, False, False)
        elif key == "rev":
            revision = force_string_no_context(item, trace)
        elif key == "name":
            name = force_string_no_context(item, trace)
        else:
            raise EvalError(
                f"unsupported argument '{attribute_name(key)}' to 'fetchMercurial'", pos=value.position(key)
            )
    if not url:
        raise EvalError("'url' argument required", pos=CALL_SITE)
    return url, revision, name
