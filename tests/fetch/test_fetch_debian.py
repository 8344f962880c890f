"""A mirror of our own, signed by a key of our own, served from a folder."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pysequoia import SignatureMode, Tsk, sign

from frazil.activity import SilentReporter
from frazil.digest import Hash
from frazil.fetch import debian_index, openpgp
from frazil.fetch.archive_transfer import kept_file
from frazil.fetch.debian import download_verified, parse_date, resolve_mirror
from frazil.fetch.errors import BadArchive, BadSignature, DownloadError, FetchError, HashMismatch
from frazil.fetch.inputs import FetchSettings, fetch_tree, url_to_attributes
from frazil.fetch.openpgp import verify_signed_text

if TYPE_CHECKING:
    from conftest import Fetcher

KEY = Tsk.generate("archive <archive@example.org>")
OTHER = Tsk.generate("other <other@example.org>")


def package(name: str, version: str = "1-1", **fields: str) -> str:
    values = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        "Filename": f"pool/main/{name[0]}/{name}/{name}_{version}_amd64.deb",
        "Size": "3",
        "SHA256": hashlib.sha256(name.encode()).hexdigest(),
        "Description": "a package\n of two lines",
        **{key.replace("_", "-"): value for key, value in fields.items()},
    }
    return "".join(f"{key}: {value}\n" for key, value in values.items())


PACKAGES = "\n".join(
    [
        package(
            "bash",
            "5.2-1+b1",
            Depends="libc6 (>= 2.36), awk | mawk:any (<< 3), libc6 (<< 9)",
            Pre_Depends="base-files",
            Essential="yes",
            Source="bash (5.2-1)",
        ),
        package("mawk", Provides="awk (= 1), nothing"),
        package("gawk", Provides="awk", Recommends="doc"),
        package("libc6", "2.40-1"),
        package("libc6", "2.41-1~rc1"),
        package("base-files", Architecture="all"),
    ]
)


@dataclass
class Mirror:
    path: Path
    packages: str = PACKAGES
    architectures: tuple[str, ...] = ("amd64",)

    def publish(self, key: Any = KEY, suite: str = "trixie", **fields: str) -> Path:
        """Writes a suite; returns its `InRelease`."""
        folder = self.path / "dists" / suite
        lines = []
        for architecture in self.architectures:
            place = folder / f"main/binary-{architecture}"
            place.mkdir(parents=True, exist_ok=True)
            plain = self.packages.replace("Architecture: amd64", f"Architecture: {architecture}").encode()
            for suffix, data in ((".xz", lzma.compress(plain)), (".gz", gzip.compress(plain, mtime=0)), ("", plain)):
                if suffix:
                    (place / f"Packages{suffix}").write_bytes(data)
                name = f"main/binary-{architecture}/Packages{suffix}"
                lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}")
        head = {
            "Origin": "Debian",
            "Suite": "testing",
            "Codename": suite,
            "Version": "13.1",
            "Date": "Sat, 12 Sep 2020 07:55:41 UTC",
            **{name.replace("_", "-"): value for name, value in fields.items()},
        }
        text = "".join(f"{name}: {value}\n" for name, value in head.items()) + "SHA256:\n" + "\n".join(lines) + "\n"
        release = folder / "InRelease"
        release.write_bytes(sign(key.signer(), text.encode(), mode=SignatureMode.CLEAR))
        return release


@pytest.fixture(autouse=True)
def few_shards(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Thousands of files take their time; one test makes them all."""
    if request.node.name != "test_tree":
        monkeypatch.setattr(debian_index, "SHARD_DIGITS", 1)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    monkeypatch.setenv("FRAZIL_APT_DIRECTORY", str(tmp_path / "apt"))
    made = Mirror(tmp_path / "mirror")
    made.publish()
    (tmp_path / "keyring").write_bytes(bytes(KEY.extract_certificate()))
    return made


@pytest.fixture
def debian(tmp_path: Path, mirror: Mirror, new_fetcher: Callable[..., Fetcher]) -> Fetcher:
    return new_fetcher(tmp_path, debian_mirrors=(f"file://{mirror.path}",), debian_keyring=str(tmp_path / "keyring"))


URL = "debian:trixie?architectures=amd64"


def shard(tree: Any, name: str, architecture: str = "amd64") -> dict[str, Any]:
    prefix = hashlib.sha256(name.encode()).hexdigest()[: debian_index.SHARD_DIGITS]
    found: dict[str, Any] = json.loads(Path(tree.real_path, architecture, f"{prefix}.json").read_text())
    return found


def test_tree(debian: Fetcher, mirror: Mirror) -> None:
    tree = debian.fetch(URL)
    assert shard(tree, "bash")["packages"]["bash"] == {
        "version": "5.2-1+b1",
        "architecture": "amd64",
        "filename": "pool/main/b/bash/bash_5.2-1+b1_amd64.deb",
        "size": 3,
        "sha256": hashlib.sha256(b"bash").hexdigest(),
        "depends": [["base-files"], ["libc6"], ["awk", "mawk"]],
        "source": "bash",
        "essential": True,
    }
    assert shard(tree, "awk")["virtual"]["awk"] == ["gawk", "mawk"]
    assert shard(tree, "gawk")["packages"]["gawk"]["recommends"] == [["doc"]]
    assert shard(tree, "libc6")["packages"]["libc6"]["version"] == "2.41-1~rc1"
    assert shard(tree, "base-files")["packages"]["base-files"]["architecture"] == "all"
    assert len(list(Path(tree.real_path, "amd64").iterdir())) == 4096
    information = json.loads(Path(tree.real_path, "info.json").read_text())
    assert information["essential"] == {"amd64": ["bash"]} and information["packages"] == {"amd64": 5}
    assert information["format"] == 1 and information["version"] == "13.1"
    release = Hash.of("sha256", (mirror.path / "dists/trixie/InRelease").read_bytes()).sri
    assert tree.attributes["release"] == information["release"] == release
    assert tree.attributes["lastModified"] == information["date"] == 1599897341


def test_two_architectures(debian: Fetcher, mirror: Mirror) -> None:
    mirror.architectures = ("amd64", "arm64")
    mirror.publish()
    tree = debian.fetch("debian:trixie")
    assert shard(tree, "bash", "arm64")["packages"]["bash"]["architecture"] == "arm64"


def test_locked_tree_needs_no_mirror(debian: Fetcher, mirror: Mirror, tmp_path: Path) -> None:
    locked = debian.fetch(URL).attributes
    (mirror.path / "dists").rename(tmp_path / "gone")
    offline = debian.with_settings(offline=True)
    assert fetch_tree({**locked, "__final": True}, offline.context).attributes == locked
    assert fetch_tree(dict(locked), offline.context).attributes == locked


def test_same_release_elsewhere_gives_the_same_tree(
    debian: Fetcher, mirror: Mirror, tmp_path: Path, new_fetcher: Callable[..., Fetcher]
) -> None:
    locked = debian.fetch(URL).attributes
    settings = {"debian_mirrors": (f"file://{mirror.path}",), "debian_keyring": str(tmp_path / "keyring")}
    other = new_fetcher(tmp_path / "second", **settings)
    assert fetch_tree({**locked, "__final": True}, other.context).attributes == locked


def test_locked_release_that_is_gone(
    debian: Fetcher, mirror: Mirror, tmp_path: Path, new_fetcher: Callable[..., Fetcher]
) -> None:
    locked = debian.fetch(URL).attributes
    mirror.packages += "\n" + package("new")
    mirror.publish(Date="Sun, 13 Sep 2020 07:55:41 UTC")
    settings = {"debian_mirrors": (f"file://{mirror.path}",), "debian_keyring": str(tmp_path / "keyring")}
    with pytest.raises(FetchError, match="no longer on the mirrors; they carry that of 2020-09-13") as caught:
        fetch_tree({**locked, "__final": True}, new_fetcher(tmp_path / "second", **settings).context)
    assert "frazil flake update" in (caught.value.hint or "")
    assert debian.fetch(URL).attributes == locked, "fresh enough"
    assert debian.with_settings(refresh=True).fetch(URL).attributes != locked


def test_unreachable_mirror_uses_what_is_known(debian: Fetcher, mirror: Mirror, tmp_path: Path) -> None:
    known = debian.fetch(URL)
    (mirror.path / "dists").rename(tmp_path / "gone")
    assert debian.with_settings(refresh=True).fetch(URL).attributes == known.attributes
    assert any("using cached version" in line for line in debian.reporter.lines)


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"13.1", b"13.2"),
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data.replace(b"-----BEGIN PGP SIGNED MESSAGE-----", b""),
        lambda data: data[: data.index(b"-----BEGIN PGP SIGNATURE")],
        lambda data: b"<html>blocked by a proxy</html>",
    ],
)
def test_forged_and_truncated_indexes(debian: Fetcher, mirror: Mirror, change: Callable[[bytes], bytes]) -> None:
    edit(mirror.path / "dists/trixie/InRelease", change)
    with pytest.raises(BadSignature) as caught:
        debian.fetch(URL)
    assert "Stack backtrace" not in str(caught.value)


def test_text_around_the_signed_part_counts_for_nothing(debian: Fetcher, mirror: Mirror) -> None:
    edit(mirror.path / "dists/trixie/InRelease", lambda data: data + b"\nVersion: 99\nCodename: evil\n")
    tree = debian.fetch(URL)
    assert json.loads(Path(tree.real_path, "info.json").read_text())["version"] == "13.1"


def test_wrong_key(debian: Fetcher, mirror: Mirror) -> None:
    mirror.publish(OTHER)
    with pytest.raises(BadSignature, match="is not valid") as caught:
        debian.fetch(URL)
    assert "keyring" in (caught.value.hint or "")


def test_another_suite_under_this_name(debian: Fetcher, mirror: Mirror) -> None:
    mirror.publish(suite="bookworm")
    (mirror.path / "dists/bookworm").rename(mirror.path / "dists/sid")
    with pytest.raises(BadSignature, match="is the index of suite 'bookworm', not of 'sid'"):
        debian.fetch("debian:sid?architectures=amd64")


def test_dates(debian: Fetcher, mirror: Mirror, tmp_path: Path) -> None:
    mirror.publish(Valid_Until="Sat, 19 Sep 2020 07:55:41 UTC")
    with pytest.raises(BadSignature, match="has expired"):
        debian.fetch(URL)
    future = time.strftime("%a, %d %b %Y %H:%M:%S UTC", time.gmtime(time.time() + 10 * 86400))
    mirror.publish(Date=future)
    with pytest.raises(BadSignature, match="in the future"):
        debian.fetch(URL)
    (tmp_path / "apt").mkdir()
    (tmp_path / "apt/apt.conf").write_text('Acquire::Check-Valid-Until "false";\n')
    mirror.publish(Valid_Until="Sat, 19 Sep 2020 07:55:41 UTC")
    debian.fetch(URL)


def test_packages_that_differ_from_the_index(debian: Fetcher, mirror: Mirror) -> None:
    edit(mirror.path / "dists/trixie/main/binary-amd64/Packages.xz", lambda data: data[:-1] + b"x")
    with pytest.raises(HashMismatch, match="hash mismatch"):
        debian.fetch(URL)


def test_unknown_things(debian: Fetcher) -> None:
    with pytest.raises(DownloadError, match="no mirror has the Debian suite 'nope'"):
        debian.fetch("debian:nope")
    with pytest.raises(FetchError, match="has no 'main/binary-vax'"):
        debian.fetch("debian:trixie?architectures=vax")
    with pytest.raises(FetchError, match="has no 'odd/binary-amd64'"):
        debian.fetch("debian:trixie?architectures=amd64&components=odd")


@pytest.mark.parametrize(
    "text",
    [
        package("../../x"),
        package("x", Filename="../../etc/passwd"),
        package("x", Filename="pool/../../x"),
        package("x", SHA256="00"),
        package("x", Size="many"),
        "Package: x\n",
    ],
)
def test_damaged_package_lists(debian: Fetcher, mirror: Mirror, text: str) -> None:
    mirror.packages = text
    mirror.publish()
    with pytest.raises(BadArchive, match="damaged package index"):
        debian.fetch(URL)


def test_no_keyring_and_no_mirror(debian: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(BadSignature, match="does not exist"):
        debian.with_settings(debian_keyring=str(tmp_path / "none")).fetch(URL)
    with pytest.raises(FetchError, match="no mirror of Debian is known") as caught:
        debian.with_settings(debian_mirrors=()).fetch(URL)
    assert "debian-mirrors" in (caught.value.hint or "")


def test_verification_by_program(mirror: Mirror, tmp_path: Path) -> None:
    import shutil

    if shutil.which("gpgv") is None:
        pytest.skip("gpgv is not installed")
    data = (mirror.path / "dists/trixie/InRelease").read_bytes()
    keyring = str(tmp_path / "keyring")
    assert openpgp._verify_by_program(data, keyring, "x") == verify_signed_text(data, keyring, "x") + b"\n"
    with pytest.raises(BadSignature):
        openpgp._verify_by_program(data.replace(b"13.1", b"13.2"), keyring, "x")


def test_mirror_addresses() -> None:
    settings = FetchSettings(debian_mirrors=("file:///a/", "http://b"))
    assert resolve_mirror("mirror://debian/pool/x", settings) == ["file:///a/pool/x", "http://b/pool/x"]
    assert resolve_mirror("file:///x", settings) == ["file:///x"]


def test_verified_download(tmp_path: Path) -> None:
    settings = FetchSettings(cache_directory=str(tmp_path / "cache"), debian_mirrors=("file:///",))
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"forged")
    digest, target = hashlib.sha256(b"abc").hexdigest(), tmp_path / "out"
    uris = [f"file://{tmp_path}/{name}" for name in ("none", "b", "a")]
    download_verified(uris, digest, 3, str(target), SilentReporter(), settings)
    assert target.read_bytes() == b"abc"
    download_verified([], digest, None, str(target), SilentReporter(), settings)
    Path(kept_file(digest, settings)).write_bytes(b"damaged")
    with pytest.raises(HashMismatch):
        download_verified(uris[1:2], digest, None, str(target), SilentReporter(), settings)
    assert not target.exists()
    with pytest.raises(DownloadError) as caught:
        download_verified(uris[:1], digest, None, str(target), SilentReporter(), settings)
    assert "flake update" in (caught.value.hint or "")
    with pytest.raises(DownloadError, match="larger than"):
        download_verified(uris[1:2], digest, 3, str(target), SilentReporter(), settings)
    with pytest.raises(FetchError, match="not a SHA-256"):
        download_verified(uris, "../x", None, str(target), SilentReporter(), settings)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sat, 12 Sep 2020 07:55:41 UTC", 1599897341),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sat, 12 Sep 2020 07:55:41 CET", None),
        ("yesterday", None),
        ("Sat, 12 Sam 2020 07:55:41 UTC", None),
    ],
)
def test_dates_of_indexes(text: str, seconds: int | None) -> None:
    assert parse_date(text) == seconds


def test_attributes() -> None:
    assert url_to_attributes("debian:trixie-backports")["suite"] == "trixie-backports"
