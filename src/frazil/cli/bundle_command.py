"""`bundle`: what a flake's bundler makes of a package or an app. Source: the manual page of `nix bundle`."""

from __future__ import annotations

from frazil.cli.build_command import build_paths, outputs_of
from frazil.cli.common_options import INSTALLABLES
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.options import Arguments, Command, Option
from frazil.cli.result_links import add_result_link
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.cli.installables import Opened
    from frazil.flake.outputs import ValueInstallable
    from frazil.store.path import StorePath

DEFAULT_BUNDLER = "github:NixOS/bundlers"


def run_bundle(context: Context, arguments: Arguments) -> None:
    from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath

    derivation, output, name = with_deep_stack(lambda: _bundle(context, arguments))
    target = DerivedPath(derivation, ALL_OUTPUTS)
    build_paths(context, [target])
    paths = dict(outputs_of(context, target))
    if output not in paths:
        raise FrazilError(f"derivation '{context.store.show(derivation)}' does not have a built output '{output}'")
    add_result_link(context.store, paths[output], arguments.value("out-link") or name)


def _bundle(context: Context, arguments: Arguments) -> tuple[StorePath, str, str]:
    """(derivation, the output that is meant, its name) of what the bundler gives. Raises FrazilError."""
    from frazil.cli.installables import Opened
    from frazil.flake.derivations import derivation_and_output, package_of
    from frazil.flake.outputs import ValueInstallable

    opened = Opened(context, arguments, command="bundle")
    (text,) = opened.texts()
    (installable,) = opened.parse([text])
    if not isinstance(installable, ValueInstallable):
        raise UsageError(f"installable '{text}' does not correspond to a Nix language value")
    bundled = installable.value(auto_call=True)
    bundler = _bundler(opened, arguments.value("bundler", DEFAULT_BUNDLER) or DEFAULT_BUNDLER)
    evaluator = opened.session.evaluator
    value = evaluator.force(evaluator.call(bundler.value(), bundled))
    package = package_of(evaluator, value, opened.session.effects.directory)
    if package is None or package.drv_path is None:
        raise FrazilError(f"the bundler '{bundler.what()}' does not produce a derivation")
    derivation, output = derivation_and_output(package)
    name = package.name
    opened.session.flush()
    opened.note_locks()
    return derivation, output, name


def _bundler(opened: Opened, text: str) -> ValueInstallable:
    """A function of a flake, whatever the thing to bundle comes from."""
    from frazil.flake.outputs import ValueInstallable, parse_installable

    flags = opened.flags_without_overrides().with_(write_lock_file=False)
    source = opened.source.with_(command="bundler", root=None, auto_arguments=None, flags=flags)
    installable = parse_installable(text, source)
    if not isinstance(installable, ValueInstallable):
        raise UsageError(f"'{text}' is a store path, not a bundler")
    return installable


COMMANDS = {
    "bundle": Command(
        run_bundle,
        "bundle an application so that it works outside of the Nix store",
        INSTALLABLES,
        (
            Option("--bundler -B", f"Use this bundler instead of `{DEFAULT_BUNDLER}`.", "flake-url"),
            Option("--out-link -o", "Name the link *path* instead of after the bundle.", "path"),
        ),
        positional="installable",
        at_most=1,
        description="A bundler is a function, the output `bundlers.SYSTEM.NAME` of a flake, that takes a package or an "
        "app and gives a derivation. That is built, and a link to it made in this folder.",
        examples=[("One file that runs anywhere", "frazil bundle nixpkgs#hello && ./hello")],
    ),
}
