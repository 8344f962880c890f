"""`nix-channel`: names for trees of Nix expressions that are fetched from time to time. Source: its manual page.

The list is `~/.nix-channels`: a URL and a name on each line. What was fetched is a profile, one folder for each
channel, to which `~/.nix-defexpr/channels` points.
"""

from __future__ import annotations

import os
import re

from frazil.cli.context import Context
from frazil.cli.options import Arguments, Command, Option
from frazil.errors import FrazilError, UsageError

_UNPACK = """{ name, channelName, src }:
derivation {
  inherit name channelName src;
  builder = "builtin:unpack-channel";
  system = "builtin";
  preferLocalBuild = true;
}
"""
_URL = re.compile(r"(file|http|https)://")
_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*")
_ARCHIVE = re.compile(r"\.tar\.(gz|bz2|xz)$")
_VERSION = re.compile(r"-\d.*$")


class Channels:
    """Where everything is, and what is subscribed."""

    def __init__(self, context: Context) -> None:
        from frazil.cli.legacy_env import profiles_folder, user_state

        home = context.settings.environment.get("HOME") or os.path.expanduser("~")
        state = user_state(context)
        xdg = context.settings.boolean("use-xdg-base-directories")
        self.file = os.path.join(state, "channels") if xdg else os.path.join(home, ".nix-channels")
        self.expressions = os.path.join(state, "defexpr") if xdg else os.path.join(home, ".nix-defexpr")
        self.profile = os.path.join(profiles_folder(context), "channels")

    def read(self) -> dict[str, str]:
        """Name → URL. Raises FrazilError."""
        try:
            with open(self.file, encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise FrazilError(f"reading '{self.file}': {error.strerror}") from error
        found = {}
        for line in lines:
            words = line.split()
            if words and not words[0].startswith("#"):
                url = words[0].rstrip("/")
                found[words[1] if len(words) > 1 else os.path.basename(url)] = url
        return dict(sorted(found.items()))

    def write(self, channels: dict[str, str]) -> None:
        """Whole or not at all, also where the list is a link to a file elsewhere."""
        place = os.path.realpath(self.file)
        temporary = f"{place}.tmp-{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.writelines(f"{url} {name}\n" for name, url in sorted(channels.items()))
            os.replace(temporary, place)
        except OSError as error:
            raise FrazilError(f"writing '{self.file}': {error.strerror}") from error


def _nix_env(words: list[str], profile: str) -> None:
    """As the program would with these words."""
    from frazil.cli.program import run_program

    other = Context("nix-env", legacy=True)
    try:
        status = run_program(other, ["--profile", profile, *words])
    finally:
        other.close()
    if status:
        raise FrazilError(f"'nix-env {' '.join(words[:2])}' failed", exit_status=status)


def run_channel(context: Context, arguments: Arguments) -> None:
    chosen = [name for name in OPERATIONS if arguments.flag(name)]
    if not chosen:
        raise UsageError("no command specified")
    if len(chosen) > 1:
        raise UsageError("only one operation may be specified")
    operation, least, most, message = OPERATIONS[chosen[0]]
    if not least <= len(arguments.positional) <= most:
        raise UsageError(message)
    operation(context, Channels(context), arguments.positional)


def _add(context: Context, channels: Channels, words: list[str]) -> None:
    url = words[0]
    name = words[1] if len(words) > 1 else os.path.basename(url).removesuffix("-unstable").removesuffix("-stable")
    if not _URL.match(url):
        raise FrazilError(f"invalid channel URL '{url}'")
    if not _NAME.fullmatch(name):
        raise FrazilError(f"invalid channel identifier '{name}'")
    channels.write({**channels.read(), name: url})


def _remove(context: Context, channels: Channels, words: list[str]) -> None:
    left = channels.read()
    left.pop(words[0], None)
    channels.write(left)
    os.makedirs(os.path.dirname(channels.profile), exist_ok=True)
    _nix_env(["--uninstall", words[0]], channels.profile)


def _list(context: Context, channels: Channels, words: list[str]) -> None:
    for name, url in channels.read().items():
        context.print(f"{name} {url}")


def _list_generations(context: Context, channels: Channels, words: list[str]) -> None:
    _nix_env(["--list-generations"], channels.profile)


def _rollback(context: Context, channels: Channels, words: list[str]) -> None:
    _nix_env(["--switch-generation", words[0]] if words else ["--rollback"], channels.profile)


def _update(context: Context, channels: Channels, words: list[str]) -> None:
    import tempfile

    subscribed = channels.read()
    for name in words:
        if name not in subscribed:
            context.warn(f"there is no channel '{name}'")
    with tempfile.NamedTemporaryFile("w", prefix="nix-channel-", suffix=".nix") as file:
        file.write(_UNPACK)
        file.flush()
        found = []
        for name, url in subscribed.items():
            fresh = not words or name in words
            found.append(_fetched(context, file.name, name, url) if fresh else _kept(channels, name, url))
        os.makedirs(os.path.dirname(channels.profile), exist_ok=True)
        context.note(f"unpacking {len(found)} channels...")
        install = ["--file", file.name, "--install", "--remove-all", "--from-expression", *found, "--quiet"]
        _nix_env(install, channels.profile)
    _show_to_nix_env(channels)


def _versioned(name: str, url: str) -> str:
    """With the version that the URL ends with, for `nix-env -q` on the profile."""
    match = _VERSION.search(os.path.basename(url))
    return name + match[0] if match else name


def _kept(channels: Channels, name: str, url: str) -> str:
    try:
        path = os.path.dirname(os.readlink(os.path.join(channels.profile, name)))
    except OSError as error:
        raise FrazilError(f"channel '{name}' was never fetched", hint=f"`nix-channel --update {name}`") from error
    return (
        f'f: rec {{ name = "{_versioned(name, url)}"; type = "derivation"; outputs = [ "out" ]; system = "builtin"; '
        f'outPath = builtins.storePath "{path}"; out = {{ inherit outPath; }}; }}'
    )


def _fetched(context: Context, unpack: str, name: str, url: str) -> str:
    """All of a channel comes from where its address leads at this moment."""
    from frazil.fetch.errors import DownloadError
    from frazil.fetch.inputs import FetchContext
    from frazil.fetch.tarball import download_file

    fetch = FetchContext.create(context.store, context.fetch_settings, context.reporter)
    try:
        found = None
        if _is_file(url):
            found = download_file(url, os.path.basename(url), fetch)
        if found is None or not _ARCHIVE.search(found.store_path.name):
            place = found.effective_url if found is not None else url
            try:
                found = download_file(f"{place}/nixexprs.tar.xz", "nixexprs.tar.xz", fetch)
            except DownloadError:
                found = download_file(f"{place}/nixexprs.tar.bz2", "nixexprs.tar.bz2", fetch)
    finally:
        fetch.cache.close()
    source = context.store.show(found.store_path)
    return f'f: f {{ name = "{_versioned(name, url)}"; channelName = "{name}"; src = builtins.storePath "{source}"; }}'


def _is_file(url: str) -> bool:
    """A folder of this machine has no page of its own."""
    from urllib.parse import unquote

    return not (url.startswith("file://") and os.path.isdir(unquote(url[7:])))


def _show_to_nix_env(channels: Channels) -> None:
    from frazil.store.profile import replace_symlink

    try:
        if os.path.islink(channels.expressions):
            os.unlink(channels.expressions)
        os.makedirs(channels.expressions, exist_ok=True)
    except OSError as error:
        raise FrazilError(f"making '{channels.expressions}': {error.strerror}") from error
    replace_symlink(channels.profile, os.path.join(channels.expressions, "channels"))


OPERATIONS = {
    "add": (_add, 1, 2, "'--add' requires one or two arguments"),
    "remove": (_remove, 1, 1, "'--remove' requires one argument"),
    "list": (_list, 0, 0, "'--list' expects no arguments"),
    "update": (_update, 0, 1 << 16, ""),
    "list-generations": (_list_generations, 0, 0, "'--list-generations' expects no arguments"),
    "rollback": (_rollback, 0, 1, "'--rollback' has at most one argument"),
}

PROGRAMS = {
    "nix-channel": Command(
        run_channel,
        "manage channels",
        (
            Option("--add", "Subscribe to the channel at *url*, under *name*."),
            Option("--remove", "Unsubscribe from the channel *name*."),
            Option("--list", "Print the names and addresses of all channels."),
            Option("--update", "Fetch all channels, or those named, anew."),
            Option("--list-generations", "List the earlier states of the channels."),
            Option("--rollback", "Go back to the state before, or to the one with this number."),
        ),
        positional="arguments…",
        at_most=None,
        examples=[
            (
                "Subscribe and fetch",
                "nix-channel --add https://nixos.org/channels/nixos-unstable && nix-channel --update",
            ),
            ("Undo the newest update", "nix-channel --rollback"),
        ],
    ),
}
