"""Errors of builds, and what became of each build.

Source: `nix-build`'s page "status code", `libstore/build-result` for the names of the outcomes.
"""

from __future__ import annotations

import os
from enum import Enum

from frazil.errors import FrazilError


class BuildError(FrazilError):
    """Something about a build that is not the outcome of a builder: settings, sandbox, missing inputs."""


class SandboxError(BuildError):
    """The sandbox of a builder could not be set up."""


class SandboxUnavailable(SandboxError):
    """This machine cannot isolate a build."""


def sandbox_error(error: OSError) -> SandboxError:
    """From `_sandbox.SetupError(errno, step)`: names the step that failed."""
    number, step = int(error.args[0]), str(error.args[1])
    text = f"{step}: {os.strerror(number)}"
    if step.startswith(("creating namespaces", "writing ", "mounting /proc", "making '/' private", "mounting a new")):
        return SandboxUnavailable(
            "this system does not support the kernel namespaces that are required for sandboxing "
            f"({text}); use '--no-sandbox' to disable sandboxing",
            hint="allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone), or build "
            "unisolated where that is impossible with '--option sandbox-fallback true'",
        )
    return SandboxError(f"{text}\nwhile setting up the build environment")


class Failure(Enum):
    """Names and numbers as in Nix's build results (the worker protocol sends the numbers)."""

    PERMANENT_FAILURE = 3
    INPUT_REJECTED = 4
    OUTPUT_REJECTED = 5
    TRANSIENT_FAILURE = 6
    TIMED_OUT = 8
    MISC_FAILURE = 9
    DEPENDENCY_FAILED = 10
    LOG_LIMIT_EXCEEDED = 11
    NOT_DETERMINISTIC = 12
    NO_SUBSTITUTERS = 14
    HASH_MISMATCH = 15

    @property
    def title(self) -> str:
        """As in JSON: `PermanentFailure`."""
        return "".join(word.capitalize() for word in self.name.split("_"))


class DerivationFailed(FrazilError):
    """One derivation's build failed; others may go on. Kept in its `BuildResult`.

    `caused_by`: what happened to the derivations it needed. Times as in `BuildResult`, where a builder ran.
    """

    def __init__(
        self,
        failure: Failure,
        message: str,
        *,
        hint: str | None = None,
        caused_by: frozenset[Failure] = frozenset(),
    ) -> None:
        super().__init__(message, hint=hint)
        self.failure = failure
        self.caused_by = caused_by
        self.start_time = self.stop_time = 0
        self.cpu_user: int | None = None
        self.cpu_system: int | None = None


class CutOff(DerivationFailed):
    """Given up because another one failed."""

    def __init__(self) -> None:
        super().__init__(Failure.MISC_FAILURE, "the build was cut off")


def failure_text(failure: DerivationFailed) -> str:
    """As a line of the log: laid out like the error that ends a command."""
    text = "error: " + failure.message.rstrip("\n")
    if failure.hint:
        text += f"\n\nhint: {failure.hint}"
    return "\n".join(line and (line if i == 0 else " " * 7 + line) for i, line in enumerate(text.split("\n")))


class BuildFailed(BuildError):
    """Raised by `realise` once everything that could run has run.

    `exit_status` is that of `nix-build` and `nix-store --realise` (1, or 100 with bits); `nix build` ends with 1.
    `failures` are all of them, the one shown first; `targets` what was asked for and failed, as text.
    """

    def __init__(
        self,
        message: str,
        failures: list[DerivationFailed],
        *,
        exit_status: int,
        hint: str | None = None,
        targets: list[str] | None = None,
    ) -> None:
        super().__init__(message, hint=hint, exit_status=exit_status)
        self.failures = failures
        self.targets = targets or []


def failing_exit_status(failures: set[Failure]) -> int:
    """100 for a failed builder, plus 1 timed out, 2 wrong hash, 4 + 100 not deterministic; 1 for everything else."""
    timed_out, mismatch = Failure.TIMED_OUT in failures, Failure.HASH_MISMATCH in failures
    permanent = bool(failures & {Failure.PERMANENT_FAILURE, Failure.INPUT_REJECTED})
    build = permanent or timed_out or mismatch
    different = Failure.NOT_DETERMINISTIC in failures
    if not (build or different):
        return 1
    return 0b1100000 | (0b100 | timed_out | mismatch << 1 if build else 0) | different << 3


def describe_status(status: int) -> str:
    """A wait status in words, as Nix: "failed with exit code 1", "failed due to signal 9 (Killed)"."""
    if os.WIFSIGNALED(status):
        import signal

        number = os.WTERMSIG(status)
        return f"failed due to signal {number} ({signal.strsignal(number)})"
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        return "succeeded"
    return f"failed with exit code {os.WEXITSTATUS(status)}"
