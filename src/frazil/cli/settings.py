"""Settings: files, environment and options in; typed values and the rooms' frozen settings out.

Order, the last one counts: defaults, `nix.conf` of the system, `frazil.conf` of the system, the user's files (nix.conf,
then frazil.conf), `NIX_CONFIG`, the command line. Source: Nix's manual, `command-ref/conf-file`.
"""

from __future__ import annotations

import os

from frazil.cli.settings_table import ALIASES, APPENDABLE, FEATURES, ROWS, SETTING_FEATURES, STABLE_FEATURES
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MAX_INCLUDE_DEPTH = 32
MAX_FILE_SIZE = 16 * 1024 * 1024
_KINDS = {name: kind for name, kind, _, _ in ROWS}
_DEFAULTS = {name: default for name, _, default, _ in ROWS}
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


class Settings:
    """All settings as texts, read by type. Changing one checks its value at once."""

    def __init__(self, environment: Mapping[str, str], warn: Callable[[str], None]) -> None:
        self.environment = environment
        self.warn = warn
        self.values: dict[str, str] = {}
        self.unknown: dict[str, str] = {}
        self.overridden: dict[str, str] = {}
        """Set by the user (not by the system's files): what a daemon would be told."""
        self._track = False
        self._command_line: set[str] = set()
        self._loaded = False
        self._lint_chosen = False
        self._gated: list[tuple[str, str, str]] = []
        self.added_search_path: list[str] = []
        """From --extra-nix-path: comes after what NIX_PATH says."""

    def load(self) -> None:
        """Reads all configuration files and NIX_CONFIG."""
        directory = self.environment.get("NIX_CONF_DIR") or "/etc/nix"
        self._apply_file(os.path.join(directory, "nix.conf"))
        frazil_directory = self.environment.get("NIX_CONF_DIR") or "/etc/frazil"
        self._apply_file(os.path.join(frazil_directory, "frazil.conf"))
        self._track = True
        for path in reversed(user_files(self.environment)):
            self._apply_file(path)
        text = self.environment.get("NIX_CONFIG")
        if text is not None:
            self.apply(text, "NIX_CONFIG")
        self._loaded = True

    def from_command_line(self, name: str) -> bool:
        return name in self._command_line

    def _apply_file(self, path: str) -> None:
        try:
            text = _read(path)
        except OSError:
            return
        self.apply(text, path)

    def apply(self, text: str, path: str) -> None:
        pairs = list(parse_configuration(text, path))
        for name, value in pairs:
            if name in {"experimental-features", "extra-experimental-features"}:
                self.set(name, value)
        for name, value in pairs:
            if name in {"experimental-features", "extra-experimental-features"}:
                continue
            if name in {"nix-path", "extra-nix-path"} and "NIX_PATH" in self.environment:
                continue
            self.set(name, value)

    def set(self, name: str, value: str) -> None:
        """Raises UsageError for a bad value; an unknown name is kept for `warn_unknown`."""
        append = False
        name = ALIASES.get(name, name)
        if name not in _KINDS and name.startswith("extra-"):
            name = ALIASES.get(name[6:], name[6:])
            append = True
        kind = _KINDS.get(name)
        if kind is None or (append and kind not in APPENDABLE):
            self.unknown["extra-" + name if append else name] = value
            return
        feature = SETTING_FEATURES.get(name)
        if feature is not None and feature not in self.features:
            self.warn(f"Ignoring setting '{name}' because experimental feature '{feature}' is not enabled")
            return
        self._check(name, kind, value)
        if append and name == "nix-path" and self._loaded and "nix-path" not in self._command_line:
            self.added_search_path += value.split()
            return
        if append:
            value = f"{self.text(name)} {value}".strip()
        self.values[name] = value
        if self._track:
            self.overridden[name] = value
            if self._loaded:
                self._command_line.add(name)
        if name == "warn-short-path-literals":
            self._deprecated_lint(value)
        elif name == "lint-short-path-literals":
            self._lint_chosen = True

    def set_option(self, name: str, value: str) -> None:
        """As `set`, for `--option NAME VALUE`: a value that is none is a warning."""
        try:
            self.set(name, value)
        except UsageError as error:
            self.warn(error.message)

    def changed(self, names: Iterable[str]) -> list[str]:
        """Those that were given a value other than the default."""
        return [n for n in names if n in self.values and self.values[n] != default_text(n)]

    def set_flag(self, name: str, value: str) -> None:
        """As `set`, for `--NAME VALUE`: a setting of a feature that is off is an error."""
        if name in {"cores", "max-silent-time", "timeout"}:
            parse_bytes(value)
        plain = ALIASES.get(name, name)
        feature = SETTING_FEATURES.get(plain if plain in _KINDS else plain.removeprefix("extra-"))
        if feature is None:
            self.set(name, value)
        else:
            self._gated.append((name, value, feature))

    def apply_gated(self) -> None:
        """Sets what waited for all options to be read: a feature may be switched after the setting that needs it."""
        gated, self._gated = self._gated, []
        for name, value, feature in gated:
            if feature not in self.features:
                raise FrazilError(
                    f"experimental Nix feature '{feature}' is disabled; "
                    f"add '--extra-experimental-features {feature}' to enable it"
                )
            self.set(name, value)

    def _deprecated_lint(self, value: str) -> None:
        level = "warn" if value in _TRUE else "ignore"
        self.warn(f"'warn-short-path-literals' is deprecated, use 'lint-short-path-literals = {level}' instead")
        if not self._lint_chosen:
            self.values["lint-short-path-literals"] = level

    def _check(self, name: str, kind: str, value: str) -> None:
        if kind == "bool" and value not in _TRUE and value not in _FALSE:
            raise UsageError(f"Boolean setting '{name}' has invalid value '{value}'")
        if kind == "int":
            parse_integer(name, value)
        if kind == "jobs" and value != "auto" and not (value.isascii() and value.isdigit() and len(value) < 10):
            raise UsageError(f"configuration setting '{name}' should be 'auto' or an integer")
        if kind == "sandbox" and value not in {"true", "false", "relaxed"}:
            raise UsageError(f"option '{name}' has invalid value '{value}'")
        if kind == "path" and value == "":
            raise UsageError(f"setting '{name}' is a path and paths cannot be empty")
        if name.startswith("lint-") and value not in {"ignore", "warn", "fatal"}:
            raise UsageError(
                f"setting '{name}' has invalid value '{value}', expected 'ignore', 'warn', or 'fatal'",
            )
        if kind == "features":
            for feature in value.split():
                if feature == "no-url-literals":
                    self.warn(
                        "experimental feature 'no-url-literals' has been stabilized and renamed; "
                        "use 'lint-url-literals = fatal' setting instead"
                    )
                elif feature not in FEATURES and feature not in STABLE_FEATURES:
                    self.warn(f"unknown experimental feature '{feature}'")

    def warn_unknown(self) -> None:
        if not self.unknown:
            return
        from frazil.cli.suggest import did_you_mean

        for name in sorted(self.unknown):
            hint = did_you_mean(name, _KINDS)
            self.warn(f"unknown setting '{name}'" + (f" ({hint})" if hint else ""))
        self.unknown.clear()

    # -- reading -----------------------------------------------------------------------------------------------

    def text(self, name: str) -> str:
        found = self.values.get(name)
        return found if found is not None else default_text(name)

    def boolean(self, name: str) -> bool:
        return self.text(name) in _TRUE

    def integer(self, name: str) -> int:
        return parse_integer(name, self.text(name))

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(self.text(name).split())

    def mapping(self, name: str) -> dict[str, str]:
        """`KEY=VALUE` words; words without `=` are left out."""
        return {key: value for key, mark, value in (w.partition("=") for w in self.words(name)) if mark}

    def optional(self, name: str) -> str | None:
        return self.text(name) or None

    @property
    def features(self) -> frozenset[str]:
        found = frozenset(self.words("experimental-features")) & FEATURES
        return found | {"fetch-tree"} if "flakes" in found else found

    @property
    def system(self) -> str:
        return self.text("system") or default_system()

    @property
    def max_jobs(self) -> int:
        text = self.text("max-jobs")
        return available_cores() if text == "auto" else parse_integer("max-jobs", text)


def kind_of(name: str) -> str | None:
    return _KINDS.get(ALIASES.get(name, name))


def default_text(name: str) -> str:
    """The default as text, where it does not depend on the machine; see `computed_default`."""
    return _DEFAULTS[name]


def user_files(environment: Mapping[str, str]) -> list[str]:
    """The user's configuration files, the most important first."""
    named = environment.get("NIX_USER_CONF_FILES")
    if named is not None:
        return [part for part in named.split(":") if part]
    home = environment.get("HOME") or os.path.expanduser("~")
    own = environment.get("NIX_CONFIG_HOME")
    directories = [own or os.path.join(environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "nix")]
    for part in (environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"):
        if part:
            directories.append(os.path.join(part, "nix"))
    files = []
    for directory in directories:
        if directory.endswith("/nix"):
            files.append(os.path.join(directory[:-4], "frazil", "frazil.conf"))
        files.append(os.path.join(directory, "nix.conf"))
    return files


def parse_configuration(text: str, path: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """(name, value) pairs, `include` and `!include` followed."""
    if depth > MAX_INCLUDE_DEPTH:
        raise UsageError(f"configuration files are included more than {MAX_INCLUDE_DEPTH} levels deep, at '{path}'")
    for line in text.split("\n"):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0] in {"include", "!include"} and len(words) == 2:
            yield from _included(words[1], path, words[0] == "!include", depth)
            continue
        if len(words) < 2 or words[1] != "=":
            raise UsageError(f"syntax error in configuration line '{line.partition('#')[0]}' in '{path}'")
        yield words[0], " ".join(words[2:])


def _included(name: str, path: str, may_miss: bool, depth: int) -> Iterator[tuple[str, str]]:
    base = os.path.dirname(path) if path.startswith("/") else os.getcwd()
    target = os.path.normpath(os.path.join(base, name))
    try:
        text = _read(target)
    except (FileNotFoundError, NotADirectoryError):
        if may_miss:
            return
        raise FrazilError(f"file '{target}' included from '{path}' not found") from None
    except OSError:
        return
    yield from parse_configuration(text, target, depth + 1)


def _read(path: str) -> str:
    with open(path, "rb") as file:
        data = file.read(MAX_FILE_SIZE + 1)
    if len(data) > MAX_FILE_SIZE:
        raise UsageError(f"configuration file '{path}' is larger than {MAX_FILE_SIZE} bytes")
    return data.decode("utf-8", "surrogateescape")


def parse_limit(text: str) -> int:
    """As `parse_bytes`; what is below zero is nothing."""
    number = parse_bytes(text.removeprefix("-"))
    return 0 if text.startswith("-") else number


def parse_bytes(text: str) -> int:
    """A size on the command line. Raises UsageError in Nix's words."""
    if text and text[-1].isalpha() and text[-1].upper() not in _UNITS:
        raise UsageError(f"invalid unit specifier '{text[-1].upper()}'")
    digits = text[:-1] if text and text[-1].isalpha() else text
    if not (digits.isascii() and digits.isdigit()):
        raise UsageError(f"'{text}' is not an integer")
    return parse_integer("", text)


def parse_integer(name: str, text: str) -> int:
    """A number, with an optional unit K, M, G or T."""
    digits = text.strip()
    factor = 1
    if digits and digits[-1].upper() in _UNITS:
        factor = _UNITS[digits[-1].upper()]
        digits = digits[:-1]
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 20:
        raise UsageError(f"setting '{name}' has invalid value '{text}'")
    number = int(digits) * factor
    if number >= 1 << 64:
        raise UsageError(f"setting '{name}' has invalid value '{text}'")
    return number


def default_system() -> str:
    machine = os.uname()
    kind = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine.machine, machine.machine)
    return f"{kind}-{machine.sysname.lower()}"


def available_cores() -> int:
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:
        return os.cpu_count() or 1


def default_system_features() -> tuple[str, ...]:
    found = ["benchmark", "big-parallel", "nixos-test", "uid-range"]
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        found.append("kvm")
    return tuple(sorted(found))


def default_extra_platforms(system: str) -> tuple[str, ...]:
    """Older x86-64 levels and 32-bit programs run on a 64-bit kernel."""
    if system != "x86_64-linux":
        return ()
    return ("i686-linux", *(f"{level}-linux" for level in _processor_levels()))


def _processor_levels() -> list[str]:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            flags = next((set(line.split()) for line in file if line.startswith("flags")), set[str]())
    except OSError:
        return []
    levels = ["x86_64-v1"]
    wanted = (
        ("x86_64-v2", {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
        ("x86_64-v3", {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}),
        ("x86_64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    )
    for name, needed in wanted:
        if not needed <= flags:
            break
        levels.append(name)
    return levels


def computed_default(name: str) -> str:
    """The default as `config show` reports it on this machine."""
    if name == "system":
        return default_system()
    if name == "system-features":
        return " ".join(default_system_features())
    if name == "extra-platforms":
        return " ".join(default_extra_platforms(default_system()))
    if name == "ssl-cert-file":
        path = os.environ.get("NIX_SSL_CERT_FILE") or os.environ.get("SSL_CERT_FILE") or ""
        standard = "/etc/ssl/certs/ca-certificates.crt"
        return path or (standard if os.path.exists(standard) else "")
    return _DEFAULTS[name]
