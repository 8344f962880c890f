"""`store build-trace …`: where outputs of derivations went. Source: the manual pages of `nix store build-trace`."""

from __future__ import annotations

from frazil.cli.common_options import JSON
from frazil.cli.context import Context, require_feature
from frazil.cli.options import Arguments, Command
from frazil.cli.store_paths import STORE_PATHS
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from frazil.store.derived_path import DerivedPath
    from frazil.store.path import StorePath
    from frazil.store.realisation import Realisation


def info(context: Context, arguments: Arguments) -> None:
    from frazil.cli.store_paths import derived_paths, store_paths

    require_feature(context, "ca-derivations")
    found: dict[object, Realisation | StorePath] = {}
    if arguments.flag("all") or arguments.flag("recursive") or arguments.flag("derivation"):
        _print(context, arguments, list(store_paths(context, arguments)))
        return
    for path in derived_paths(context, arguments):
        for one in _realised(context, path):
            found[one] = one
    _print(context, arguments, list(found.values()))


def _realised(context: Context, path: DerivedPath) -> Iterator[Realisation | StorePath]:
    from frazil.build.resolution import resolved_path

    store = context.any_store
    if path.outputs is None:
        yield path.base
        return
    outputs = store.query_derivation_outputs(path.base)
    for name in path.outputs.choose(outputs):
        output = outputs[name]
        if output is None:
            raise FrazilError(f"cannot operate on output '{name}' of the unbuilt derivation '{store.show(path.base)}'")
        for derivation in dict.fromkeys((resolved_path(store, path.base), path.base)):
            realisation = None if derivation is None else store.realisation(derivation, name)
            if realisation is not None:
                yield realisation
                break
        yield output


def _print(context: Context, arguments: Arguments, found: list[Realisation | StorePath]) -> None:
    from frazil.store.realisation import Realisation

    show = context.any_store.show
    if arguments.flag("json"):
        import json

        from frazil.cli.flake_options import print_json

        records: list[object] = []
        for one in found:
            if isinstance(one, Realisation):
                key = {"drvPath": one.derivation.base, "outputName": one.output}
                records.append({"key": key, "value": json.loads(one.value_json())})
            else:
                records.append({"opaquePath": show(one)})
        print_json(context, arguments, records)
        return
    for one in found:
        context.print(f"{one.identifier} {show(one.path)}" if isinstance(one, Realisation) else show(one))


def delete(context: Context, arguments: Arguments) -> None:
    require_feature(context, "ca-derivations")
    store = context.store
    wanted = []
    for text in arguments.positional:
        path, mark, output = text.rpartition("^")
        if not mark:
            raise UsageError(f"Invalid derivation output id '{text}': missing '^'")
        wanted.append((store.parse(path), output))
    store.require_writable()
    for derivation, output in wanted:
        store.database.delete_realisation(derivation, output)


COMMANDS = {
    "store build-trace info": Command(
        info,
        "query where outputs of derivations went",
        STORE_PATHS,
        JSON,
        positional="installables…",
        at_most=None,
        examples=[("Where the outputs of a content-addressed package are", "frazil store build-trace info .#hello")],
    ),
    "store build-trace delete": Command(
        delete,
        "forget where outputs of derivations went",
        positional="ids…",
        at_most=None,
        examples=[("Let an output be built again", "frazil store build-trace delete /nix/store/…-x.drv^out")],
    ),
}
