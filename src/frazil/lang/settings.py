"""What decides how an expression is evaluated; made by `cli` from nix.conf and the command line."""

from __future__ import annotations

from frazil.record import Record


class EvalSettings(Record):
    """Names and meanings are those of Nix's settings (`conf-file.md`), with `-` written `_`.

    `search_path`: entries of NIX_PATH and -I, first wins; a prefix may be empty. All text is byte strings.
    The three `lint_…` settings are "ignore", "warn" or "fatal".
    """

    pure: bool = False
    restricted: bool = False
    allow_import_from_derivation: bool = True
    allow_unsafe_native_code_during_evaluation: bool = False
    trace_import_from_derivation: bool = False
    max_call_depth: int = 10000
    experimental_features: frozenset[str] = frozenset()
    system: str = "x86_64-linux"
    store_dir: str = "/nix/store"
    search_path: tuple[tuple[str, str], ...] = ()
    allowed_uris: tuple[str, ...] = ()
    trace_verbose: bool = False
    abort_on_warn: bool = False
    trace_function_calls: bool = False
    eval_profiler: str = "disabled"
    eval_profile_file: str = "nix.profile"
    eval_profiler_frequency: int = 99
    show_stats: bool = False
    count_calls: bool = False
    debugger: bool = False
    debugger_on_trace: bool = False
    debugger_on_warn: bool = False
    ignore_try: bool = False
    lint_url_literals: str = "ignore"
    lint_short_path_literals: str = "ignore"
    lint_absolute_path_literals: str = "ignore"
    show_trace: bool = False
    home_directory: str = ""
    current_time: int | None = None
    nix_version: str = "2.36.0"

    @property
    def observed(self) -> bool:
        """Whether something wants to know about every call."""
        return self.trace_function_calls or self.eval_profiler != "disabled" or self.show_stats or self.debugger
