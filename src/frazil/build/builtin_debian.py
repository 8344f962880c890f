"""The builder `builtin:debian`: Debian packages become one store object that runs from its own path.

In: a derivation whose attribute `plan` (JSON) names fetched `.deb` files and the store paths of dependencies. Out: the
output `out`: merged, with links, `#!` lines, linker scripts, pkg-config files, ELF interpreters and RUNPATHs leading to
store paths. The same inputs give the same bytes. Source of truth: docs/design/packages.md.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from frazil.build.debian_plan import BadPlan, Plan, Wrapper, parse_plan
from frazil.build.debian_tree import MergedTree, matches
from frazil.build.elf_patch import patch_tree

if TYPE_CHECKING:
    from frazil.build.builtin import BuiltinContext

_SHEBANG = re.compile(rb"#![ \t]*(/[^ \t\n]*)([^\n]*)\n?")
_MAX_SHEBANG = 250  # the kernel cuts the line at 255 bytes
_MAX_TEXT = 64 << 20
_STANDARD_LIBRARY = re.compile(r"lib/python3\.[0-9]+")


def build(context: BuiltinContext) -> None:
    """The entry for the registry of builtin builders."""
    # Attributes are byte strings; JSON is UTF-8.
    plan = parse_plan(context.attribute("plan").encode("latin-1").decode("utf-8", "replace"))
    output = context.outputs.get("out")
    if output is None or len(context.outputs) != 1:
        raise BadPlan("a builtin:debian derivation has one output, 'out'")
    make_prefix(plan, output, context.real_output(), context.real_path, context.log)


def make_prefix(
    plan: Plan, output: str, root: str, real_path: Callable[[str], str], log: Callable[[str], object]
) -> None:
    """Makes the tree for `output` at `root`; `real_path` says where in the file system a store path is."""
    os.mkdir(root, 0o755)
    tree = MergedTree(root, output, plan, real_path)
    for package in plan.packages:
        log(f"unpacking {posixpath.basename(package)}")
        tree.unpack(real_path(package))
    tree.finish_links()
    for path, target in sorted(plan.links.items()):
        tree.add_link(path, target.replace("@out@", output))
    tree.fold()
    for link in tree.dropped_links:
        log(f"left out the dangling link {link}")
    fix_texts(tree)
    substitute(tree)
    if plan.loader:
        _rewrite(tree, plan.loader, lambda data: isolate_loader(data, plan.triplet))
    patched = patch_tree(tree, os.cpu_count() or 1)
    log(f"patched {patched} ELF files")
    for path, wrapper in sorted(plan.wrappers.items()):
        wrap(tree, path, wrapper)
    for path, pattern in sorted(plan.bundles.items()):
        bundle(tree, path, pattern)
    for path, text in sorted(plan.files.items()):
        tree.add_file(path, _expand(tree, text), executable=False)
    for path, text in sorted(plan.executables.items()):
        tree.add_file(path, _expand(tree, text), executable=True)
    seal_bytecode(tree)


def seal_bytecode(tree: MergedTree) -> None:
    """Python writes compiled modules to `__pycache__` beside their sources wherever it may, and root may everywhere: a
    store object would change. A file of that name keeps it from that; it then goes on without a word.

    In packages and in the standard library, where a folder belongs to one unit: folders that several units share are
    merged by environments, which would meet the file twice.
    """
    folders = {posixpath.dirname(path) for path in tree.files if path.endswith(".py")}
    libraries = tuple(
        folder for folder in folders if _STANDARD_LIBRARY.fullmatch(folder) and f"{folder}/os.py" in tree.files
    )
    for folder in sorted(folders):
        inside = any(folder == library or folder.startswith(library + "/") for library in libraries)
        cache = f"{folder}/__pycache__"
        if (inside or f"{folder}/__init__.py" in tree.files) and cache not in tree.directories:
            tree.add_file(cache, b"", executable=False)


def _expand(tree: MergedTree, text: str) -> bytes:
    return text.replace("@out@", tree.output).encode("utf-8", "surrogateescape")


def _rewrite(tree: MergedTree, path: str, change: Callable[[bytes], bytes]) -> None:
    real = tree.real(path)
    if os.path.getsize(real) > _MAX_TEXT:
        return
    with open(real, "rb") as file:
        before = file.read()
    after = change(before)
    if after != before:
        with open(real, "wb") as file:
            file.write(after)


def fix_texts(tree: MergedTree) -> None:
    """`#!` lines, linker scripts and pkg-config files."""
    for path in sorted(tree.files):
        name = posixpath.basename(path)
        with open(tree.real(path), "rb") as file:
            head = file.read(64)
        if head.startswith(b"#!"):
            _rewrite(tree, path, lambda data: fix_shebang(tree, data))
        elif head.startswith((b"\x7fELF", b"!<arch>\n")):
            continue
        elif path.endswith(".pc"):
            _rewrite(tree, path, lambda data: fix_pkg_config(tree, data))
        elif not tree.plan.keep_linker_scripts and (".so" in name or name.endswith(".a")):
            _rewrite(tree, path, lambda data: fix_linker_script(tree, data))


def find_program(tree: MergedTree, name: str) -> str | None:
    """The absolute path of a program in the tree, in a dependency or in the shell's package."""
    if tree.resolve(f"bin/{name}") is not None or f"bin/{name}" in tree.final_links:
        return f"{tree.output}/bin/{name}"
    for prefix in [*tree.plan.depends, *([tree.plan.shell] if tree.plan.shell else [])]:
        if os.path.lexists(f"{tree.real_path(prefix)}/bin/{name}"):
            return f"{prefix}/bin/{name}"
    return None


def fix_shebang(tree: MergedTree, data: bytes) -> bytes:
    """A script whose interpreter is a store path, where one is known; otherwise unchanged."""
    match = _SHEBANG.match(data)
    if match is None:
        return data
    interpreter = os.fsdecode(match[1])
    rest = os.fsdecode(match[2]).strip()
    if interpreter.startswith("/nix/"):
        return data
    words = rest.split()
    if posixpath.basename(interpreter) == "env" and words:
        words = words[1:] if words[0] == "-S" else words
        if not words or words[0].startswith("-") or "=" in words[0]:
            return data
        interpreter, rest = words[0], " ".join(words[1:])
    found = find_program(tree, posixpath.basename(interpreter))
    if found is None:
        return data
    line = f"#!{found} {rest}".rstrip()
    if len(os.fsencode(line)) > _MAX_SHEBANG:
        return data
    return os.fsencode(line) + b"\n" + data[match.end() :]


def fix_linker_script(tree: MergedTree, data: bytes) -> bytes:
    """A GNU ld script (GROUP, INPUT) with absolute paths that exist."""
    if len(data) > 1 << 16 or not re.search(rb"\b(GROUP|INPUT)\s*\(", data):
        return data

    def located(match: re.Match[bytes]) -> bytes:
        place = tree.locate(os.fsdecode(match[0]))
        if place is None:
            return match[0]
        return os.fsencode(place if place.startswith("/") else f"{tree.output}/{place}")

    return re.sub(rb"(?<![\w/])/(?:usr/)?lib[^\s()]*", located, data)


def fix_pkg_config(tree: MergedTree, data: bytes) -> bytes:
    """A pkg-config file with this prefix."""
    output = os.fsencode(tree.output)
    return re.sub(rb"(?<![\w/.}])/usr(?=/|\s|$)", output, data)


def isolate_loader(data: bytes, triplet: str) -> bytes:
    """A dynamic loader that looks at nothing but RUNPATHs: its compiled-in places become ones that do not exist."""
    places = (
        "/etc/ld.so.cache",
        "/etc/ld.so.preload",
        "/lib/",
        "/usr/lib/",
        f"/lib/{triplet}/",
        f"/usr/lib/{triplet}/",
    )
    for place in places:
        hidden = ("/nix/-" + "-" * len(place))[: len(place) - 1] + ("/" if place.endswith("/") else "-")
        # Whole strings only: what stands before is no part of a path.
        data = re.sub(rb"(?<![\w/.-])" + re.escape(place.encode()) + rb"(?=\0)", hidden.encode(), data)
    return data


def substitute(tree: MergedTree) -> None:
    """The plan's substitutions; one that changes nothing is an error, so that none goes stale unseen."""
    for item in tree.plan.substitutions:
        old, new = item.old.encode(), _expand(tree, item.new)
        hits = 0
        for path in sorted(tree.files):
            if not matches(path, item.files):
                continue
            with open(tree.real(path), "rb") as file:
                data = file.read()
            if old in data and (item.binary or b"\0" not in data[:8192]):
                hits += 1
                with open(tree.real(path), "wb") as file:
                    file.write(data.replace(old, new))
        if hits == 0:
            raise BadPlan(f"the substitution of '{item.old}' matches in no file of {', '.join(item.files)}")


def bundle(tree: MergedTree, path: str, pattern: str) -> None:
    """Joins the files that match, in the order of their names, an empty line behind each."""
    parts = []
    for name in sorted(tree.files):
        if matches(name, (pattern,)):
            with open(tree.real(name), "rb") as file:
                parts.append(file.read() + b"\n")
    if not parts:
        raise BadPlan(f"no file matches '{pattern}'")
    tree.add_file(path, b"".join(parts), executable=False)


def quote(text: str) -> str:
    """A word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def wrapper_text(shell: str, wrapper: Wrapper, program: str) -> str:
    """The script that stands in for a program."""
    lines = [f"#! {shell} -e"]
    lines += [f"export {name}={quote(value)}" for name, value in sorted(wrapper.set.items())]
    lines += [f"export {name}=${{{name}-{quote(value)}}}" for name, value in sorted(wrapper.default.items())]
    lines += [f"export {name}={quote(value)}${{{name}:+:${name}}}" for name, value in sorted(wrapper.prefix.items())]
    lines += [f"export {name}=${{{name}:+${name}:}}{quote(value)}" for name, value in sorted(wrapper.suffix.items())]
    flags = "".join(f" {quote(flag)}" for flag in wrapper.flags)
    lines.append(f'exec -a "$0" {quote(program)}{flags} "$@"')
    return "\n".join(lines) + "\n"


def wrap(tree: MergedTree, path: str, wrapper: Wrapper) -> None:
    """Moves a program aside and puts a script at its place."""
    directory, name = posixpath.split(path)
    hidden = posixpath.join(directory, f".{name}-wrapped")
    shell = find_program(tree, "bash")
    if shell is None:
        raise BadPlan(f"'{path}' cannot be wrapped without a shell")
    if path in tree.final_links:
        target = tree.final_links[path]
        tree.add_link(hidden, target)
    elif path in tree.files:
        os.rename(tree.real(path), tree.real(hidden))
        tree.files[hidden] = tree.files.pop(path)
    else:
        raise BadPlan(f"'{path}' is to be wrapped and does not exist")
    text = wrapper_text(shell, wrapper, f"{tree.output}/{hidden}")
    tree.add_file(path, _expand(tree, text), executable=True)
