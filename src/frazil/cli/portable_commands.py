"""`portable …`: services that systemd takes from one file: made, looked at, brought to machines. Our own commands."""

from __future__ import annotations

import os

from frazil.cli.build_command import build_paths, outputs_of
from frazil.cli.common_options import EVALUATION, FLAKE_LOCK, JSON, SOURCE
from frazil.cli.context import Context
from frazil.cli.display import decimal_size, plain_text
from frazil.cli.options import Arguments, Command, Option
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.portable.image import PortableImage
    from frazil.portable.service import Options, Services
    from frazil.store.path import StorePath

HOST = (
    Option("--host", "The machine, *ssh://[user@]name[:port]* (default: this one).", "machine"),
    Option("--sudo", "Become root there by `sudo`, which must not ask for a password."),
)
ATTACHING = (
    Option("--profile", "What the service may do there: default, strict, trusted, nonetwork, or your own.", "profile"),
    Option("--now", "Start its units (again), and go back where one fails."),
    Option("--enable", "Start its units whenever the machine starts, as their [Install] sections say."),
    Option("--runtime", "Only until the machine starts again."),
    Option("--watch", "With --now: for so many *seconds* no unit may fail (default: 2).", "seconds"),
)


# -- which image -------------------------------------------------------------------------------------------------------


def _built(context: Context, arguments: Arguments, text: str) -> tuple[str, StorePath]:
    """The file that an installable gives, and the store object that it is in."""
    from frazil.cli.store_paths import derived_paths
    from frazil.portable.errors import PortableError
    from frazil.portable.image import SUFFIX

    paths = derived_paths(context, arguments, [text])
    build_paths(context, paths)
    found = []
    for output in (output for path in paths for _, output in outputs_of(context, path)):
        real = context.store.real_path(output)
        if os.path.isdir(real):
            names = [name for name in sorted(os.listdir(real)) if name.endswith(SUFFIX)]
            found += [(os.path.join(real, name), output) for name in names]
    if len(found) != 1:
        what = "gives no image" if not found else f"gives {len(found)} images"
        raise PortableError(
            f"'{text}' {what} of a portable service",
            hint="make one with pkgs.portableService { pname, version, units }",
        )
    return found[0]


def _image(context: Context, arguments: Arguments) -> PortableImage:
    """Of a file or an installable, read."""
    text = (arguments.positional or ["."])[0]
    return _read(text if _is_file(text) else _built(context, arguments, text)[0])


def _read(path: str) -> PortableImage:
    from frazil.portable.errors import PortableError
    from frazil.portable.image import read_image

    try:
        return read_image(path)
    except OSError as error:
        raise PortableError(f"'{path}' cannot be read: {error.strerror}") from error


def _is_file(text: str) -> bool:
    return "#" not in text and text.endswith(".raw")


# -- build and inspect -------------------------------------------------------------------------------------------------


def build(context: Context, arguments: Arguments) -> None:
    path, output = _built(context, arguments, (arguments.positional or ["."])[0])
    image = _read(path)
    target = arguments.value("to")
    if target is None:
        from frazil.cli.result_links import add_result_link

        add_result_link(context.store, output, arguments.value("out-link") or "result")
        context.print(f"{context.directory.show(output)}/{image.name}.raw")
    else:
        context.print(_copy(image, target))
    for path in image.missing:
        context.warn(f"the image has no '{path}', which systemd wants to mount over")


def _copy(image: PortableImage, target: str) -> str:
    """The image as a file of its own, there in one step."""
    import shutil
    import tempfile

    from frazil.portable.errors import PortableError

    place = os.path.join(target, image.name + ".raw") if os.path.isdir(target) else target
    if os.path.lexists(place) and not os.path.isfile(place):
        raise PortableError(f"'{place}' is there and is no file", hint="give another name, or a folder")
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(place)))
        with open(handle, "wb") as copy, open(image.path, "rb") as source:
            shutil.copyfileobj(source, copy, 1 << 20)
        os.chmod(temporary, 0o644)
        os.replace(temporary, place)
    except BaseException as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        if isinstance(error, OSError):
            hint = "is the disk full?" if error.errno == 28 else None
            raise PortableError(f"'{place}' cannot be written: {error.strerror}", hint=hint) from error
        raise
    return place


def inspect(context: Context, arguments: Arguments) -> None:
    image = _image(context, arguments)
    if arguments.flag("json"):
        import json

        context.print(json.dumps(_described(image), indent=2))
        return
    context.print(f"{image.name}  {decimal_size(image.file_size)}, squashfs with {image.compression}")
    for key, value in sorted(image.os_release.items()):
        context.print(f"  {key}: {plain_text(value)}")
    for unit in image.units:
        mark = "" if unit in image.matching else f"  (not a unit of '{image.service}': never attached)"
        context.print(f"unit {plain_text(unit.name)}{mark}")
        for line in unit.text.splitlines():
            context.print(f"  {plain_text(line)}" if line else "")
    context.print(f"{len(image.held)} store objects, {image.files} files, {decimal_size(image.size)} unpacked")
    for held in sorted(image.held, key=lambda held: (-held.size, held.path)):
        context.print(f"  {decimal_size(held.size):>9}  {plain_text(held.path)}")
    for path in image.missing:
        context.warn(f"there is no '{path}', which systemd wants to mount over")


def _described(image: PortableImage) -> dict[str, object]:
    return {
        "name": image.name,
        "service": image.service,
        "version": image.version,
        "path": image.path,
        "fileSize": image.file_size,
        "size": image.size,
        "files": image.files,
        "compression": image.compression,
        "blockSize": image.block_size,
        "osRelease": image.os_release,
        "units": [{"name": unit.name, "text": unit.text, "attached": unit in image.matching} for unit in image.units],
        "closure": [{"path": held.path, "size": held.size, "files": held.files} for held in image.held],
        "missing": list(image.missing),
    }


# -- on a machine ------------------------------------------------------------------------------------------------------


def _services(context: Context, arguments: Arguments) -> Services:
    from frazil.portable.host import Host
    from frazil.portable.service import Services

    host = Host(arguments.value("host"), os.environ, sudo=arguments.flag("sudo"))
    context.at_close(host.close)
    host.check()
    return Services(host, context.reporter, context.note)


def _options(arguments: Arguments) -> Options:
    from frazil.portable.service import Options

    watch = arguments.value("watch") or "2"
    if not watch.isascii() or not watch.isdigit() or len(watch) > 4:
        raise UsageError(f"'--watch' is a number of seconds, not '{watch}'")
    profile = arguments.value("profile")
    if profile is not None and (not profile or profile.startswith("-") or "/" in profile):
        raise UsageError(f"'{profile}' is no profile", hint="--profile default, strict, trusted or nonetwork")
    return Options(profile, arguments.flag("now"), arguments.flag("enable"), arguments.flag("runtime"), int(watch))


def attach(context: Context, arguments: Arguments) -> None:
    _attach(context, arguments, again=False)


def reattach(context: Context, arguments: Arguments) -> None:
    _attach(context, arguments, again=True)


def _attach(context: Context, arguments: Arguments, *, again: bool) -> None:
    options = _options(arguments)
    image = _image(context, arguments)
    services = _services(context, arguments)
    done = (services.reattach if again else services.attach)(image, options)
    context.print(f"{done.name} {done.state}")


def detach(context: Context, arguments: Arguments) -> None:
    text = (arguments.positional or ["."])[0]
    services = _services(context, arguments)
    name = _name(context, arguments, text)
    names = services.detach(
        name, now=arguments.flag("now"), clean=arguments.flag("clean"), keep_image=arguments.flag("keep-image")
    )
    for one in names:
        context.print(f"{one} detached")


def _name(context: Context, arguments: Arguments, text: str) -> str:
    """The service that is meant: a name, a file of an image, or an installable."""
    from frazil.portable.image import image_name

    if _is_file(text):
        return image_name(text)
    if any(mark in text for mark in "#/:") or text in ("", ".", ".."):
        return _image(context, arguments).service
    return text


COMMON = (SOURCE, EVALUATION, FLAKE_LOCK)
COMMANDS = {
    "portable build": Command(
        build,
        "make the image of a portable service",
        *COMMON,
        (
            Option("--out-link -o", "The link to the image's folder (default: result).", "path", key="out-link"),
            Option("--to", "Copy the image to *path*, a file or a folder, instead.", "path"),
        ),
        positional="installable",
        at_most=1,
        examples=[
            ("result/web-server_1.0.raw", "frazil portable build .#portable"),
            ("A file of its own", "frazil portable build .#portable --to /mnt/usb"),
        ],
    ),
    "portable inspect": Command(
        inspect,
        "show what the image of a portable service holds",
        *COMMON,
        JSON,
        positional="installable",
        at_most=1,
        examples=[("A file", "frazil portable inspect web-server_1.0.raw")],
    ),
    "portable attach": Command(
        attach,
        "attach a portable service to this machine or another",
        *COMMON,
        HOST,
        ATTACHING,
        positional="installable",
        at_most=1,
        examples=[
            ("Elsewhere, from now on", "frazil portable attach .#portable --host ssh://root@example --enable --now"),
        ],
    ),
    "portable reattach": Command(
        reattach,
        "exchange a portable service for another version",
        *COMMON,
        HOST,
        ATTACHING,
        positional="installable",
        at_most=1,
        examples=[("The next version", "frazil portable reattach .#portable --host ssh://root@example --now")],
    ),
    "portable detach": Command(
        detach,
        "take a portable service away from a machine",
        *COMMON,
        HOST,
        (
            Option("--now", "Stop its units first."),
            Option("--clean", "Remove what it stored, too: state, cache, logs. Implies --now."),
            Option("--keep-image", "Leave its images there."),
        ),
        positional="service",
        at_most=1,
        examples=[
            ("With all that is left of it", "frazil portable detach web-server --host ssh://root@example --clean")
        ],
    ),
}
