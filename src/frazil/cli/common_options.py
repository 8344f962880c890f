"""Options that several commands share, as groups for `Command`."""

from __future__ import annotations

from frazil.cli.options import APPEND, Option

GLOBAL = (
    Option("--help -h", "Show usage information."),
    Option("--version", "Show version information."),
    Option("--verbose -v", "Say more.", kind=APPEND),
    Option("--quiet", "Say less.", kind=APPEND),
    Option("--debug", "Say everything, also where a mistake of frazil's happened."),
    Option("--log-format", "raw, raw-with-logs, bar, bar-with-logs or internal-json.", "format"),
    Option("--print-build-logs -L", "Print builders' output on standard error."),
    Option("--option", "Set the setting *name* to *value*.", "name", "value", sets=("*", None)),
    Option("--max-jobs -j", "How many builds at once.", "jobs", sets=("max-jobs", None)),
    Option("--keep-failed -K", "Keep the build directory of a failed build.", sets=("keep-failed", "true")),
    Option("--keep-going -k", "Go on after a build failed.", sets=("keep-going", "true")),
    Option("--offline --no-net", "Fetch nothing; what was fetched before counts as fresh."),
    Option("--refresh", "What was fetched before counts as stale."),
    Option("--no-build-output -Q", "Do not print builders' output."),
    Option("--readonly-mode --read-only", "Do not write to the store.", key="readonly-mode"),
    Option("--no-gc-warning", "Do not warn that a result is no root.", hidden=True),
)

EVALUATION = (
    Option("--arg", "Pass the value of *expr* as the argument *name*.", "name", "expr", kind=APPEND, key="arg"),
    Option("--argstr", "Pass *string* as the argument *name*.", "name", "string", kind=APPEND, key="argstr"),
    Option("--arg-from-file", "Pass the contents of *path* as the argument *name*.", "name", "path", kind=APPEND),
    Option("--arg-from-stdin", "Pass what standard input holds as the argument *name*.", "name", kind=APPEND),
    Option("--include -I", "Add *path* to what `<…>` searches.", "path", kind=APPEND),
    Option("--eval-store", "Evaluate in the store *store-url*: derivations and sources go there.", "store-url"),
    Option("--debugger", "Stop at errors and at `builtins.break`, for a look around."),
    Option("--repair", "Write again what evaluation puts into the store, and build again what is damaged."),
    Option("--impure", "Allow access to mutable paths and the environment."),
    Option(
        "--override-flake",
        "Take *resolved-ref* for the registry entry *original-ref*.",
        "original-ref",
        "resolved-ref",
        kind=APPEND,
    ),
)

FLAKE_LOCK = (
    Option("--recreate-lock-file", "Lock every input anew."),
    Option("--no-update-lock-file", "The lock file must not need a change."),
    Option("--no-write-lock-file", "Keep a changed lock file in memory only."),
    Option("--no-registries", "Look nothing up in registries.", sets=("use-registries", "false")),
    Option("--commit-lock-file", "Commit changes of the lock file."),
    Option("--update-input", "Lock the input *input-path* anew.", "input-path", kind=APPEND),
    Option("--override-input", "Take *flake-url* for the input *input-path*.", "input-path", "flake-url", kind=APPEND),
    Option("--reference-lock-file", "Read the lock file from *path*.", "path"),
    Option("--output-lock-file", "Write the lock file to *path*.", "path"),
    Option("--inputs-from", "Take registry entries from the inputs of *flake-url*.", "flake-url", kind=APPEND),
)

SOURCE = (
    Option("--file -f", "Installables are attribute paths in the Nix file *file* (`-`: standard input).", "file"),
    Option("--expr", "Installables are attribute paths in the expression *expr*.", "expr"),
    Option("--attr -A", "One more attribute path, as for `nix-build`.", "path", kind=APPEND),
)

INSTALLABLES = (*EVALUATION, *FLAKE_LOCK, *SOURCE)

JSON = (
    Option("--json", "Print JSON."),
    Option("--pretty", "Print indented JSON."),
    Option("--no-pretty", "Print JSON on one line."),
)

STDIN = (Option("--stdin", "Read more installables from standard input."),)

LEGACY_GLOBAL = (
    Option("--fallback", "Build where substitution fails.", sets=("fallback", "true")),
    Option("--store", "The store to work on.", "store-url", sets=("store", None)),
    Option("--show-trace", "Show how an evaluation error was reached.", sets=("show-trace", "true")),
)
