"""`builtins.fetchClosure` from a cache in a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.instantiate.test_session import Scratch

from frazil.activity import SilentReporter
from frazil.build.settings import BuildSettings
from frazil.lang.errors import EvalError
from frazil.store.addressing import make_content_addressed
from frazil.store.copying import copy_closure
from frazil.store.opening import open_store
from frazil.store.path import StorePath

FEATURES = frozenset({"fetch-closure", "flakes", "nix-command"})


class Cache:
    """A cache with a content-addressed object and an input-addressed one that refers to it."""

    def __init__(self, root: Path) -> None:
        self.address = f"file://{root}/cache"
        (root / "origin").mkdir()
        origin = Scratch(root / "origin")
        (root / "origin" / "f").write_text("text")
        self.plain = StorePath.from_base(origin.eval('builtins.baseNameOf "${./f}"'))
        made = "0" * 32 + "-made"
        real = Path(origin.store.real_path(self.plain)).parent / made
        real.write_text(f"see {origin.store.show(self.plain)}")
        real.chmod(0o444)
        os.utime(real, (1, 1))
        self.made = StorePath.from_base(made)
        self._register(origin)
        with open_store(self.address, origin.store.settings, SilentReporter()) as cache:
            copy_closure(origin.store, cache, [self.made], SilentReporter(), check_signatures=False)
        self.rewritten = make_content_addressed(origin.store, origin.store, [self.made])[self.made]
        origin.store.close()

    def _register(self, origin: Scratch) -> None:
        from frazil.store import nar
        from frazil.store.path_info import PathInfo

        real = origin.store.real_path(self.made)
        digest, size = nar.hash_path(real, "sha256")
        info = PathInfo(self.made, digest, size, references=frozenset([self.plain]))
        origin.store.register([info])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("closure"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scratch:
    monkeypatch.setenv("_NIX_IN_TEST", "1")
    return Scratch(tmp_path)


def fetch(here: Scratch, arguments: str) -> str:
    text: str = here.eval(f"builtins.fetchClosure {{ {arguments} }}", experimental_features=FEATURES)
    return text


def test_a_content_addressed_path(here: Scratch, cache: Cache) -> None:
    path = here.store.show(cache.plain)
    assert fetch(here, f'fromStore = "{cache.address}"; fromPath = "{path}";') == path
    assert Path(here.store.real_path(cache.plain)).read_text() == "text"


def test_an_input_addressed_path_is_named_as_such(here: Scratch, cache: Cache) -> None:
    here.store.settings = here.store.settings.with_(require_signatures=False)
    path = here.store.show(cache.made)
    arguments = f'fromStore = "{cache.address}"; fromPath = "{path}";'
    with pytest.raises(EvalError, match="is input-addressed, but 'inputAddressed' is set to 'false'"):
        fetch(here, arguments)
    assert fetch(here, arguments + " inputAddressed = true;") == path
    plain = here.store.show(cache.plain)
    with pytest.raises(EvalError, match="is not input-addressed, but 'inputAddressed' is set to 'true'"):
        fetch(here, f'fromStore = "{cache.address}"; fromPath = "{plain}"; inputAddressed = true;')


def test_a_path_is_rewritten(here: Scratch, cache: Cache) -> None:
    path, new = here.store.show(cache.made), here.store.show(cache.rewritten)
    arguments = f'fromStore = "{cache.address}"; fromPath = "{path}";'
    assert fetch(here, f'{arguments} toPath = "{new}";') == new
    assert here.store.is_valid(cache.rewritten)
    assert not here.store.is_valid(cache.made)
    with pytest.raises(EvalError, match=f"yielded '{new}'\nUse this value"):
        fetch(here, f'{arguments} toPath = "";')
    other = here.store.show(StorePath("1" * 32, "made"))
    with pytest.raises(EvalError, match=f"yielded '{new}', while '{other}' was expected"):
        fetch(here, f'{arguments} toPath = "{other}";')


def test_store_path_is_substituted(here: Scratch, cache: Cache) -> None:
    path = here.store.show(cache.plain)
    with pytest.raises(EvalError, match="is required, but there is no substituter that can build it"):
        here.eval(f"builtins.storePath {path}")
    here.build_settings = BuildSettings(substituters=(cache.address,))
    assert here.eval(f'builtins.getContext (builtins.appendContext "x" {{ "{path}".path = true; }})')
    assert here.store.is_valid(cache.plain)
    assert here.eval(f"builtins.readFile (builtins.storePath {path})") == "text"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "attribute 'fromPath' is missing"),
        ('fromPath = "PATH";', "attribute 'fromStore' is missing"),
        ('fromPath = "/nowhere"; fromStore = "http://a";', "path '/nowhere' is not in the Nix store"),
        ('fromPath = "PATH"; fromStore = "daemon";', "only supports http:// and https:// stores"),
        ('fromPath = "PATH"; fromStore = "http://a?b=c";', "does not support URL query parameters"),
        ('fromPath = "PATH"; toPath = "PATH"; inputAddressed = true;', "Please remove one of them"),
        ("other = 1;", "attribute 'other' isn't supported"),
    ],
)
def test_wrong_arguments(here: Scratch, arguments: str, message: str) -> None:
    with pytest.raises(EvalError) as caught:
        fetch(here, arguments.replace("PATH", "/nix/store/" + "0" * 32 + "-x"))
    assert message in str(caught.value)
