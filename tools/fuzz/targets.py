"""What reads input from outside, each as a function of bytes that returns or raises one of our errors.

In: bytes. Out: nothing; anything else that is raised is a fault. `TARGETS` has seeds beside each, which
mutation starts from.
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from typing import NamedTuple

from frazil.errors import FrazilBug, FrazilError

DIRECTORY = "/nix/store"
PATH = f"{DIRECTORY}/{'0' * 31}1-x"


class Target(NamedTuple):
    """`run` raises a FrazilError for what it refuses. `words`: pieces that mutation puts in."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()
    pure: bool = True
    """Whether the code is Python's when uncompiled, so that coverage can guide."""


def refused(error: BaseException) -> bool:
    """Whether this is how bad input is answered."""
    return isinstance(error, FrazilError) and not isinstance(error, FrazilBug)


# ------------------------------------------------------------------------------------------------------- language


def evaluator() -> object:
    from frazil.lang.effects import FileSystemEffects
    from frazil.lang.evaluator import Evaluator
    from frazil.lang.settings import EvalSettings

    return Evaluator(FileSystemEffects(), EvalSettings(pure=True, max_call_depth=200))


def parse(data: bytes) -> None:
    evaluator().parse_string(data, "/").show()  # type: ignore[attr-defined]


def evaluate(data: bytes) -> None:
    """Evaluates deeply and prints; expressions that would not end are ended after a while."""
    from threading import Timer

    from frazil.lang.errors import Interrupted
    from frazil.lang.evaluator import run_with_deep_stack
    from frazil.lang.printer import print_ambiguous

    state = evaluator()

    def work() -> None:
        value = state.eval_string(data, "/")  # type: ignore[attr-defined]
        state.force_deep(value)  # type: ignore[attr-defined]
        print_ambiguous(state, value)  # type: ignore[arg-type]

    timer = Timer(2, state.interrupt)  # type: ignore[attr-defined]
    timer.start()
    try:
        run_with_deep_stack(work)
    except Interrupted:
        pass
    except FrazilError as error:
        from frazil.cli.display import show_error

        show_error(error, show_trace=True)
        raise
    finally:
        timer.cancel()


def call_builtin(name: str, *arguments: str) -> None:
    state = evaluator()
    function = state.eval_string(f"builtins.{name}", "/")  # type: ignore[attr-defined]
    state.force_deep(state.call(function, *arguments))  # type: ignore[attr-defined]


def from_json(data: bytes) -> None:
    call_builtin("fromJSON", data.decode("latin-1"))


def from_toml(data: bytes) -> None:
    call_builtin("fromTOML", data.decode("latin-1"))


def match(data: bytes) -> None:
    pattern, _, text = data.decode("latin-1").partition("\n")
    call_builtin("match", pattern, text)


def split(data: bytes) -> None:
    pattern, _, text = data.decode("latin-1").partition("\n")
    call_builtin("split", pattern, text)


REPL_COMMANDS = frozenset({":a", ":add", ":p", ":print", ":t", ":doc", ":ll", ":r", ":te", ":?", ":x"})
"""Those that neither run programs nor leave."""


def repl(data: bytes) -> None:
    """Lines of one conversation, in which nothing reaches a store."""
    from contextlib import redirect_stderr, redirect_stdout
    from threading import Timer

    from frazil.cli.context import Context
    from frazil.cli.options import Arguments
    from frazil.cli.repl import Incomplete, Repl

    os.environ["NIX_REMOTE"] = "dummy://"
    context = Context("frazil", legacy=False)
    context.apply_globals(Arguments("frazil"))
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        talk = Repl(context, Arguments("frazil"))
        for line in data.decode("utf-8", "surrogateescape").split("\n")[:20]:
            word = line.split(None, 1)[0] if line.strip() else ""
            if word.startswith(":") and word not in REPL_COMMANDS:
                continue
            timer = Timer(1, talk.session.evaluator.interrupt)
            timer.start()
            try:
                talk.answer(line)
            except Incomplete:
                pass
            finally:
                timer.cancel()
            context.flush()


# ---------------------------------------------------------------------------------------------------------- store


def nar_check(data: bytes) -> None:
    from frazil.store import nar

    nar.parse(nar.BufferedSource(io.BytesIO(data).read), nar.Check())
    nar.list_archive(io.BytesIO(data).read)


def nar_restore(data: bytes) -> None:
    from frazil.store import nar

    with scratch() as folder:
        nar.restore(io.BytesIO(data).read, os.path.join(folder, "inner", "x"))


def portable_image(data: bytes) -> None:
    from frazil.portable.image import read_image
    from frazil.portable.squashfs import Squashfs

    with scratch() as folder:
        path = os.path.join(folder, "inner", "web_1.raw")
        with open(path, "wb") as file:
            file.write(data)
        read_image(path)
        with Squashfs(path) as image:
            for _, node in image.walk(image.root):
                if node.kind == "regular" and node.size < 1 << 20:
                    image.read(node, 1 << 20)


def portable_image_seeds() -> tuple[bytes, ...]:
    from tests.portable.sample import IMAGE

    return (IMAGE,)


def narinfo(data: bytes) -> None:
    from frazil.store.narinfo import parse as read
    from frazil.store.path import StoreDirectory

    read(data.decode("utf-8", "replace"), StoreDirectory(DIRECTORY))


def derivation(data: bytes) -> None:
    from frazil.store.derivation import parse as read
    from frazil.store.path import StoreDirectory

    directory = StoreDirectory(DIRECTORY)
    found = read(data, "x", directory)
    # As in Nix platforms and names of outputs are written as they are, and read as if they had been escaped.
    plain = [found.platform, *found.outputs, *(name for names in found.input_derivations.values() for name in names)]
    if any(character in text for text in plain for character in '"\\'):
        return
    assert read(found.unparse(directory), "x", directory) == found, "what is written reads back as something else"


def derivation_json(data: bytes) -> None:
    from frazil.store.derivation_json import parse_text

    parse_text(data.decode("utf-8", "replace"))


def export(data: bytes) -> None:
    from frazil.store import exports
    from frazil.store.config import StoreConfig, StoreSettings
    from frazil.store.local import LocalStore

    with scratch() as folder:
        config = StoreConfig.from_uri(f"local?root={folder}/root", {})
        with LocalStore(config, StoreSettings(reserved_space=4096)) as store:
            try:
                exports.import_paths(store, io.BytesIO(data).read)
            finally:
                assert store.verify(check_contents=True), "the store is damaged"


# ---------------------------------------------------------------------------------------------- flakes and fetching


def lock_file(data: bytes) -> None:
    from frazil.flake.lock import LockFile

    lock = LockFile.parse(data, "flake.lock")
    assert LockFile.parse(lock.to_string(), "flake.lock") == lock, "what is written reads back as something else"


def flake_reference(data: bytes) -> None:
    from frazil.flake.reference import FlakeReference

    reference = FlakeReference.parse(data.decode("utf-8", "replace"), preserve_relative_paths=True)
    str(reference)
    reference.to_attributes()


def archive(data: bytes) -> None:
    from frazil.fetch.archive import unpack

    with scratch() as folder:
        file, out = os.path.join(folder, "archive"), os.path.join(folder, "inner", "out")
        with open(file, "wb") as opened:
            opened.write(data)
        os.mkdir(out)
        unpack(file, out, 1 << 24)


def git_index(data: bytes) -> None:
    from frazil.fetch.git_index import parse_index

    parse_index(data)


def git_config(data: bytes) -> None:
    from frazil.fetch.git_config import parse_config, parse_submodules

    parse_config(data, "config")
    parse_submodules(data)


# --------------------------------------------------------------------------------------------------- command lines


def settings_file(data: bytes) -> None:
    """A configuration file, then everything that is derived from the settings."""
    from frazil.cli.room_settings import eval_settings, foreign_store_settings
    from frazil.cli.settings import Settings

    settings = Settings({}, lambda text: None)
    settings.apply(data.decode("utf-8", "surrogateescape").replace("include", "inclure"), "nix.conf")
    settings.apply_gated()
    settings.warn_unknown()
    eval_settings(settings, pure=True, search_path=[], store_dir=DIRECTORY)
    foreign_store_settings(settings, 0)


def command_line(data: bytes) -> None:
    """Arguments, one a line, as each command reads them; nothing runs."""
    from frazil.cli.commands import table
    from frazil.cli.common_options import GLOBAL
    from frazil.cli.options import OptionParser
    from frazil.cli.program import check_positional, load_command
    from frazil.cli.settings import Settings, kind_of

    words = os.fsdecode(data).split("\n")
    known = sorted(table())
    settings = Settings({}, lambda text: None)
    name = words[0] if words[0] in known else known[sum(data) % len(known)]
    command = load_command(name)
    parser = OptionParser([command.options, GLOBAL], settings.set_flag, kind_of, "nix", settings.set_option)
    arguments, _ = parser.parse(words[1:])
    check_positional(command, arguments)


class scratch:
    """A folder with an empty folder `inner`; nothing else may have appeared in it when it goes."""

    def __enter__(self) -> str:
        self.folder = tempfile.mkdtemp()
        os.mkdir(os.path.join(self.folder, "inner"))
        return self.folder

    def __exit__(self, *_: object) -> None:
        from frazil.store.metadata import delete_tree

        found = set(os.listdir(self.folder))
        delete_tree(self.folder)
        assert found <= {"inner", "archive", "root"}, f"written outside: {found}"


# ---------------------------------------------------------------------------------------------------------- seeds

EXPRESSIONS = (
    b'let f = { a, b ? 2, ... }@args: a + b; in rec { x = f { a = 1; }; y = "${toString x}-a"; }.y',
    b"with { a = [ 1 2.5 null ]; }; if a == [] then ./x else builtins.map (x: -x) a ++ [ (!true || false) ]",
    b"''\n  a ${\"b\"} '''' ''${ ''\\n\n  c\n'' + \"\\n\\${x}\"",
    b'assert 1 < 2; { inherit (builtins) add; ${"x"}.y = 3; a.b.c = 4; } // { } ? a.b && true -> true',
    b"builtins.foldl' (a: b: a * b) 1 (builtins.genList (i: i + 1) 25)",
    b'builtins.toJSON { a = builtins.sort builtins.lessThan [ 3 1 2 ]; b = builtins.substring 1 (-1) "abc"; }',
    b'builtins.tryEval (throw "x") // builtins.listToAttrs [ { name = "a"; value = 1; } ]',
    b'builtins.concatStringsSep "," (builtins.filter builtins.isString (builtins.split "(a)|b" "xaybz"))',
    b'let x = { __functor = s: y: y; outPath = "o"; __toString = s: "t"; }; in [ (x 1) "${x}" (toString x) ]',
    b"builtins.genericClosure { startSet = [ { key = 1; } ]; operator = x: [ { key = x.key / 2; } ]; }",
    b"<nixpkgs> or https://a.b/c ~/x /a/b 1.5e3 .5 0x1 # c\n/* d */",
    b"let { body = a; a = 1; }",
)
EXPRESSION_WORDS = (
    b"||",
    *(
        b"let |in |rec |with |inherit |assert |if |then |else |or |null|true|{ |} |[ |] |( |) |${|\"|''|; |: |"
        b"@|?|...|.|//|++|==|!=|<=|&&|->|!|-|+|*|/|9223372036854775807|(-9223372036854775807 - 1)|1.0e308|"
        b"builtins.|toString |map |throw |abort |import |derivation |removeAttrs |fetchurl |__currentSystem|"
        b"builtins.elemAt |builtins.genList |builtins.add |builtins.div |builtins.bitAnd |"
        b"builtins.hashString |builtins.replaceStrings |builtins.substring |builtins.match |builtins.toXML |"
        b"builtins.zipAttrsWith |builtins.groupBy |builtins.partition |builtins.concatMap |builtins.deepSeq |"
        b"builtins.catAttrs |builtins.intersectAttrs |builtins.functionArgs |builtins.unsafeGetAttrPos |"
        b"builtins.splitVersion|builtins.compareVersions |builtins.fromTOML |builtins.fromJSON |"
        b"builtins.getContext |builtins.appendContext |builtins.parseDrvName |builtins.storePath |"
        b"builtins.toFile |builtins.path |builtins.convertHash |builtins.ceil |"
        b"builtins.unsafeDiscardStringContext |builtins.addErrorContext |builtins.trace |x|a|f"
    ).split(b"|"),
)
SETTINGS = (
    b"# c\nmax-jobs = 4\ncores = 0\nexperimental-features = flakes nix-command\nextra-sandbox-paths = /a=/b c?\n",
    b"substituters = http://a?priority=3 file:///b\ntrusted-public-keys = k:AAAA\nbuilders = ssh://a x 1 2 - -\n",
    b"nix-path = a=/b c\nmin-free = 1G\nconnect-timeout = 5\nsandbox = relaxed\naccess-tokens = a=b\n",
)
COMMAND_LINES = (
    b"eval\n--expr\n1\n--json\n--arg\na\n1\n--option\ncores\n3\n--max-jobs\n4",
    b"build\n.#a\n-f\nx\n--no-link\n-L\n-vv\n--override-input\na\nb\n--extra-experimental-features\nx",
    b"flake show\n--all-systems\n--\n-x",
    b"copy\n--to\nfile:///x\n-vj4\n--cores\n3",
)
CONVERSATIONS = (
    b"x = 1\nx + 1\n:t x\n:p { a = [ x ]; }\n:a { y = 2; }\ny",
    b"inherit (builtins) map; f = a: a\n:doc map\nmap f [ 1 2 ]\n:ll\n:te true\n1 + null\n:r\n:?",
    b'{ a = 1;\n\'\'\n  text\n\'\'\nderivation { name = "a"; system = "b"; builder = "c"; }\n:x\n:p',
)
JSON = (b'{"a":[1,-2.5e3,"\\u00e9\\ud83d\\ude00\\n",true,null,{}],"b":9223372036854775807}', b'[[[]],{"":""}]')
TOML = (
    b'a = 1\nb.c = "x\\u00e9"\n[t.u]\nd = [1, 2.5, {e = true}]\n[[l]]\nf = 0x1F\n[[l]]\ng = 9\n',
    b"s = '''\na'''\nt = \"\"\"\nb\\\n  c\"\"\"\ni = inf\nn = -nan\no = 0o7\nd = +0.5\n'q.r' = 1_000\n",
)
PATTERNS = (b"(a|b)*c{2,3}[[:alpha:]x-z]+\\.?\nabccxx.", b"^([^,]*),?(.*)$\nx,y", b"((a*)+)+b\n" + b"a" * 60)
DERIVATION = (
    b'Derive([("out","%s","","")],[("%s.drv",["out"])],["%s"],"x86_64-linux","/bin/sh",["-c","e\\n"],'
    b'[("a","b"),("out","%s")])' % ((PATH.encode(),) * 4),
    b'DrvWithVersion("xp-dyn-drv",[("out","","r:sha256","")],[("%s.drv",(["out"],[("a",["b"])]))],[],"x","y",[],[])'
    % PATH.encode(),
)
NARINFO = (
    b"StorePath: %s\nURL: nar/a.nar.xz\nCompression: xz\nFileHash: sha256:%s\nFileSize: 1\nNarHash: sha256:%s\n"
    b"NarSize: 1\nReferences: %s\nDeriver: %s.drv\nSig: a:YQ==\nCA: fixed:r:sha256:%s\n"
    % (PATH.encode(), b"0" * 52, b"0" * 52, PATH[11:].encode(), PATH[11:].encode(), b"0" * 52),
)
LOCK = (
    b'{"nodes":{"a":{"inputs":{"b":["a","c"],"c":"b"},"locked":{"lastModified":1,"narHash":"sha256-'
    b'47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="'
    b',"owner":"o","repo":"r","rev":"'
    + b"0"
    * 40
    + b'","type":"github"},"original":{"id":"x","type":"indirect"}},"b":{"flake":false,"locked":{"path":"/p","type":'
    b'"path","narHash":"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},"original":{"path":"/p","type":"path"}},'
    b'"root":{"inputs":{"a":"a"}}},"root":"root","version":7}',
)
REFERENCES = (
    b"github:o/r/ref?dir=a&host=x.y",
    b"git+ssh://u@h:22/p?ref=r&rev=" + b"0" * 40,
    b"path:./a?lastModified=1",
    b"nixpkgs/nixos-23.05/" + b"a" * 40,
    b"tarball+https://x/y.tar.gz?narHash=sha256-47DEQpj8HBSa%2B",
    b"sourcehut:~a/b",
    b"../x#y^out",
    b"file:///a%20b?x",
    b"hg+https://x/y",
    b"git+file:///x?submodules=1&shallow=1",
)


def nar_seeds() -> tuple[bytes, ...]:
    from frazil.store import nar

    def field(text: bytes) -> bytes:
        return len(text).to_bytes(8, "little") + text + bytes(-len(text) % 8)

    def fields(*texts: bytes) -> bytes:
        return b"".join(map(field, texts))

    file = fields(b"(", b"type", b"regular", b"executable", b"", b"contents", b"hello", b")")
    link = fields(b"(", b"type", b"symlink", b"target", b"a", b")")
    tree = fields(b"(", b"type", b"directory")
    for name, node in ((b"a", file), (b"b", link), (b"c", fields(b"(", b"type", b"directory", b")"))):
        tree += fields(b"entry", b"(", b"name", name, b"node") + node + field(b")")
    out = io.BytesIO()
    nar.dump_file(b"x" * 20, out.write)
    return field(b"nix-archive-1") + tree + field(b")"), out.getvalue()


def export_seeds() -> tuple[bytes, ...]:
    from frazil.store import exports
    from frazil.store.config import StoreConfig, StoreSettings
    from frazil.store.local import LocalStore

    with scratch() as folder:
        config = StoreConfig.from_uri(f"local?root={folder}/root", {})
        with LocalStore(config, StoreSettings(reserved_space=4096)) as store:
            one = store.add_text("one", b"1")
            two = store.add_text("two", store.show(one).encode(), [one])
            out = io.BytesIO()
            exports.export_paths(store, [one, two], out.write)
    return (out.getvalue(),)


def archive_seeds() -> tuple[bytes, ...]:
    import bz2
    import gzip
    import lzma
    import tarfile

    tars = []
    for style in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=style) as tar:
            for name, kind, link in (
                ("d", b"5", ""),
                ("d/f" + "x" * 120, b"0", ""),
                ("d/l", b"2", "f"),
                ("h", b"0", ""),
            ):
                member = tarfile.TarInfo(name)
                member.type, member.linkname, member.size = kind, link, 3 if kind == b"0" else 0
                tar.addfile(member, io.BytesIO(b"abc"))
        tars.append(out.getvalue()[:8192])
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/b", "text" * 9)
        file.writestr("a/c", "")
    packed = (gzip.compress(tars[0], mtime=0), bz2.compress(tars[0]), lzma.compress(tars[1]), zipped.getvalue())
    return (*tars, *packed)


def index_seeds() -> tuple[bytes, ...]:
    fixed = bytes(24) + (0o100644).to_bytes(4, "big") + bytes(12) + b"\1" * 20 + b"\0\1"
    made = []
    for version, name in ((2, b"a\0"), (3, b"a\0"), (4, b"\0a\0")):
        head = b"DIRC" + version.to_bytes(4, "big") + (1).to_bytes(4, "big")
        tree = b"TREE" + (26).to_bytes(4, "big") + b"\x001 0\n" + b"\2" * 20 + b"\0"
        made.append(head + fixed + name + tree + bytes(20))
    return tuple(made)


def derivation_json_seeds() -> tuple[bytes, ...]:
    import json

    from frazil.store.derivation import parse as read
    from frazil.store.derivation_json import to_json
    from frazil.store.path import StoreDirectory

    return tuple(json.dumps(to_json(read(text, "x", StoreDirectory(DIRECTORY)))).encode() for text in DERIVATION)


CONFIG = (
    b'[core]\n\tbare = false\n[remote "o\\"r"]\n url = "a b" ; c\n[submodule "x"]\n path = x\n url = ../y\\\nz\n',
)

TARGETS: dict[str, Callable[[], Target]] = {
    "parse": lambda: Target(parse, EXPRESSIONS, EXPRESSION_WORDS),
    "evaluate": lambda: Target(evaluate, EXPRESSIONS, EXPRESSION_WORDS),
    "repl": lambda: Target(repl, CONVERSATIONS, (b"\n", b"\n:p ", b"\n:t ", b"\n:a ", b"\n:doc ", b" = ", b";", b":")),
    "fromJSON": lambda: Target(
        from_json, JSON, (b"[", b"]", b"{", b"}", b'"', b"\\u", b"\\ud800", b"1e999", b"-0", b"nul")
    ),
    "fromTOML": lambda: Target(
        from_toml, TOML, (b"[[", b"]]", b"[", b"{", b"'''", b'"""', b"\n", b".", b"=", b"1979-05-27")
    ),
    "match": lambda: Target(
        match, PATTERNS, (b"(", b")*", b"{1,9}", b"{255}", b"[[:digit:]]", b"[^]", b"|", b"\\", b"$", b"\n")
    ),
    "split": lambda: Target(split, PATTERNS, (b"(", b")+", b"{2}", b"[]a]", b"[a-", b"|", b"()", b"^", b"$", b"\n")),
    "nar": lambda: Target(nar_check, nar_seeds()),
    "nar-restore": lambda: Target(nar_restore, nar_seeds(), (b"..", b"/", b"\0")),
    "portable-image": lambda: Target(portable_image, portable_image_seeds(), (b"hsqs", b"\x00\x80", b"\xff\xff")),
    "narinfo": lambda: Target(narinfo, NARINFO, (b"\n", b": ", b"sha256-", b"Compression: zstd\n")),
    "derivation": lambda: Target(derivation, DERIVATION, (b'"', b"[", b"]", b"(", b")", b",", b"\\", b'("","")')),
    "derivation-json": lambda: Target(derivation_json, derivation_json_seeds(), (b"[]", b"{}", b"null", b"0", b'"a"')),
    "export": lambda: Target(export, export_seeds()),
    "lock-file": lambda: Target(lock_file, LOCK, (b"[]", b"{}", b"null", b"0", b'"a"', b'"root"')),
    "flake-reference": lambda: Target(
        flake_reference, REFERENCES, (b":", b"/", b"?", b"&", b"#", b"%", b"//", b"..", b"@")
    ),
    "archive": lambda: Target(archive, archive_seeds(), (b"../", b"/", b"\0", b"99999999999", b"\x80\xff", b"path=")),
    "settings-file": lambda: Target(
        settings_file, SETTINGS, (b"\n", b" = ", b"#", b"true", b"-1", b"99999999999999999999", b"auto", b"1G")
    ),
    "command-line": lambda: Target(
        command_line, COMMAND_LINES, (b"\n--", b"\n-", b"\n", b"=", b"--option\n", b"--no-", b"--extra-", b"\n--\n")
    ),
    "git-index": lambda: Target(git_index, index_seeds()),
    "git-config": lambda: Target(git_config, CONFIG, (b"[", b"]", b"\\", b'"', b"=", b"\n", b";")),
}
