"""Bash text that puts a build environment into a person's shell.

Source: the reference pages of `nix develop` and `nix print-dev-env`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from frazil.dev.environment import BuildEnvironment, Variable

IGNORED = frozenset(
    {
        *("BASHOPTS", "HOME", "NIX_BUILD_TOP", "NIX_ENFORCE_PURITY", "NIX_LOG_FD", "NIX_REMOTE", "PPID", "SHELLOPTS"),
        *("SSL_CERT_FILE", "TEMP", "TEMPDIR", "TERM", "TMP", "TMPDIR", "TZ", "UID"),
    }
)
"""The builder's variables that would make a person's shell worse."""

PREPENDED = ("PATH", "XDG_DATA_DIRS")
"""Lists separated by colons: the build environment's entries come first, the person's own stay."""

_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def quote(text: str) -> str:
    """Always in single quotes, also where the shell would not need them."""
    return "'" + text.replace("'", "'\\''") + "'"


@dataclass(frozen=True, slots=True)
class RcOptions:
    """`outputs_directory`: where the derivation's own output paths point instead of into the store.

    `redirects`: store path to a mutable folder. `attrs_files`: where `.attrs.sh` and `.attrs.json` stand now.
    `tidies`: whether the shell that sources it removes its temporary folder at its end, if that is empty then.
    """

    outputs_directory: str
    redirects: Mapping[str, str] = field(default_factory=dict)
    attrs_files: Mapping[str, str] = field(default_factory=dict)
    tidies: bool = False


def rc_script(environment: BuildEnvironment, options: RcOptions) -> str:
    """Source this in bash."""
    lines = ["unset shellHook"]
    for name in PREPENDED:
        lines += [f"{name}=${{{name}:-}}", f'nix_saved_{name}="${name}"']
    lines += [_assignment(name, value) for name, value in sorted(environment.variables.items()) if _is_wanted(name)]
    lines += [f"{name} ()\n{{{_body(text)}}}" for name, text in sorted(environment.functions.items())]
    for name in PREPENDED:
        lines.append(f'{name}="${name}${{nix_saved_{name}:+:$nix_saved_{name}}}"')
    lines.append('export NIX_BUILD_TOP="$(mktemp -d -t nix-shell.XXXXXX)"')
    lines += [f'export {name}="$NIX_BUILD_TOP"' for name in ("TMP", "TMPDIR", "TEMP", "TEMPDIR")]
    if options.tidies:  # before the hook, which may have a trap of its own
        lines.append("""trap 'command rmdir "$NIX_BUILD_TOP" 2>/dev/null || :' EXIT""")
    lines.append('eval "${shellHook:-}"')
    return _rewrite("\n".join(lines) + "\n", _rewrites(environment, options))


def phase_script(phase: str) -> str:
    """Runs one phase of the standard environment with its hooks."""
    name = f"{phase}Phase"
    return (
        "foundMakefile=1\n"
        f"if declare -f runPhase >/dev/null; then\n  runPhase {quote(name)}\nelse\n  runHook {quote(name)}\nfi\n"
    )


def _is_wanted(name: str) -> bool:
    return name not in IGNORED and _VARIABLE_NAME.match(name) is not None


def _assignment(name: str, variable: Variable) -> str:
    value = variable.value
    if isinstance(value, str):
        return f"{name}={quote(value)}" + (f"\nexport {name}" if variable.exported else "")
    if isinstance(value, list):
        return f"declare -a {name}=({' '.join(map(quote, value))})"
    return f"declare -A {name}=({' '.join(f'[{quote(k)}]={quote(v)}' for k, v in sorted(value.items()))})"


def _body(text: str) -> str:
    head = "" if text.startswith("\n") else "\n"
    return head + text + ("" if text.endswith("\n") else "\n")


def _rewrites(environment: BuildEnvironment, options: RcOptions) -> dict[str, str]:
    rewrites = {
        path: f"{options.outputs_directory}/{name}" for name, path in environment.output_paths().items() if path
    }
    rewrites.update(options.redirects)
    for attrs_file, variable in ((".attrs.sh", "NIX_ATTRS_SH_FILE"), (".attrs.json", "NIX_ATTRS_JSON_FILE")):
        inside = environment.text(variable)
        if inside and attrs_file in options.attrs_files:
            rewrites[inside] = options.attrs_files[attrs_file]
    return rewrites


def _rewrite(text: str, rewrites: Mapping[str, str]) -> str:
    if not rewrites:
        return text
    # Longest first: an output path may be the beginning of another (`…-name` and `…-name-dev`).
    pattern = "|".join(re.escape(old) for old in sorted(rewrites, key=len, reverse=True))
    return re.sub(pattern, lambda match: rewrites[match.group()], text)
