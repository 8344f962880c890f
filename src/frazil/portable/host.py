"""The machine that a service is attached to: this one, or another through `ssh`. Commands run there as root.

In: commands and scripts for `/bin/sh`. Out: what they print. Raises PortableError where the machine cannot be reached
or is not one that has portable services.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from frazil.errors import UsageError
from frazil.portable.errors import PortableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

    from frazil.protocol.ssh import Ssh

_PROBE = """
id -u
command -v portablectl || echo
[ -d /run/systemd/system ] && echo running || echo
command -v systemctl >/dev/null && systemctl --version | head -n 1 || echo
[ "$(id -u)" = 0 ] || command -v sudo || echo
"""


@dataclass(frozen=True, slots=True)
class Done:
    status: int
    out: str
    error: str

    @property
    def reason(self) -> str:
        """The last thing it said."""
        lines = [line.strip() for line in (self.error or self.out).splitlines() if line.strip()]
        return lines[-1] if lines else f"status {self.status}"


class Host:
    """A context manager. `address`: None for this machine, else `ssh://[USER@]HOST[:PORT]`. `sudo`: runs commands."""

    def __init__(self, address: str | None, environment: Mapping[str, str], *, sudo: bool = False) -> None:
        self._ssh = _connection(address, environment) if address else None
        self._environment = dict(environment)
        self.sudo = sudo
        self.name = self._ssh.authority.host if self._ssh is not None else "this machine"

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._ssh is not None:
            self._ssh.close()

    def start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        import subprocess

        from frazil.protocol.errors import ProtocolError

        full = ["sudo", "-n", "--", *command] if self.sudo else list(command)
        try:
            if self._ssh is not None:
                return self._ssh.start([shlex.join(full)], stderr=subprocess.PIPE)
            return subprocess.Popen(
                full,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
                bufsize=0,
            )
        except FileNotFoundError:
            return self._missing(full[0])
        except ProtocolError as error:
            raise PortableError(
                f"'{self.name}' cannot be reached: {error.message}", hint=f"does `ssh {self.name}` work from here?"
            ) from error

    def _missing(self, program: str) -> subprocess.Popen[bytes]:
        raise PortableError(f"the program '{program}' is not on {self.name}")

    def run(self, *command: str) -> Done:
        with self.start(command) as process:
            out, error = process.communicate()
        status = process.returncode
        if status == 255 and self._ssh is not None:
            last = Done(status, "", error.decode(errors="replace"))
            raise PortableError(f"the connection to '{self.name}' broke: {last.reason}", hint="run the command again")
        return Done(status, out.decode(errors="replace"), error.decode(errors="replace"))

    def script(self, text: str, *arguments: str) -> Done:
        return self.run("/bin/sh", "-c", text, "sh", *arguments)

    def check(self) -> None:
        """That portable services can be attached there, by us."""
        done = self.script(_PROBE)
        if not done.out.strip():
            raise PortableError(f"{self.name} does not run commands for us: {done.reason}")
        lines = done.out.split("\n")
        user, program, running, version, sudo = (lines + [""] * 5)[:5]
        if not running:
            raise PortableError(
                f"systemd does not run on {self.name}", hint="portable services need a machine that systemd started"
            )
        if not program:
            raise PortableError(
                f"there is no portablectl on {self.name} ({version or 'and no systemctl either'})",
                hint="Debian and Ubuntu have it in the package systemd-container, others in systemd itself",
            )
        if user != "0":
            also = ", or say --sudo" if sudo else ""
            how = f"connect as root: --host ssh://root@{self.name}" if self._ssh is not None else "run this as root"
            raise PortableError(
                f"attaching services needs root on {self.name}, and this is user {user}",
                hint=how + also,
            )


def _connection(address: str, environment: Mapping[str, str]) -> Ssh:
    from frazil.protocol.ssh import Authority, Options, Ssh

    scheme, mark, rest = address.partition("://")
    if not mark:
        scheme, rest = "ssh", address
    if scheme not in ("ssh", "ssh-ng"):
        raise UsageError(f"'{address}' is no address of a machine", hint="write --host ssh://root@machine")
    return Ssh(Authority.parse(rest), Options(environment=environment), shares=True)
