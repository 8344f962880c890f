from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.fetch.apt import debian_mirrors, parse_apt_conf, parse_deb822, parse_one_line, proxy_for, read_apt_conf

SOURCES = """\
# comment
Types: deb deb-src
URIs: http://mirror.invalid/debian
  http://second.invalid/debian/
Suites: trixie trixie-updates
Components: main
Signed-By: /x

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: trixie-security
Components: main

Enabled: no
Types: deb
URIs: http://off.invalid/debian
Suites: trixie
Components: main

Types: deb
URIs: http://vendor.invalid/apt
Suites: stable
Components: main

Types: deb
URIs: http://odd.invalid/apt
Suites: ./
"""


def test_deb822() -> None:
    found = parse_deb822(SOURCES)
    assert found[0].uris == ("http://mirror.invalid/debian", "http://second.invalid/debian/")
    assert found[0].suites == ("trixie", "trixie-updates") and len(found) == 4


def test_one_line() -> None:
    text = """
    deb [arch=amd64 signed-by=/x] http://m.invalid/debian trixie main contrib # tail
    deb-src http://m.invalid/debian trixie main
    #deb http://off.invalid/debian trixie main
    deb cdrom:[Debian]/ trixie main
    deb
    """
    found = parse_one_line(text)
    assert found[0].uris == ("http://m.invalid/debian",) and found[0].components == ("main", "contrib")


def test_mirrors(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(SOURCES)
    (tmp_path / "sources.list.d/off.sources.disabled").write_text(SOURCES.replace("mirror", "disabled"))
    (tmp_path / "mirrors").write_text("http://listed.invalid/debian\tpriority:1\n# no\nftp://no.invalid/debian\n")
    (tmp_path / "sources.list").write_text(
        f"deb mirror+file:{tmp_path}/mirrors trixie main\ndeb file:/srv/debian trixie main\n"
        "deb cdrom:[x]/ trixie main\ndeb tor+http://onion.invalid/debian trixie main\n"
    )
    assert debian_mirrors(str(tmp_path)) == [
        "http://listed.invalid/debian",
        "file:///srv/debian",
        "http://mirror.invalid/debian",
        "http://second.invalid/debian",
        "http://vendor.invalid/apt",
    ]
    assert debian_mirrors(str(tmp_path / "none")) == []


CONF = """
// comment with "quotes" { }
APT { NeverAutoRemove { "^x"; "^y"; }; };
/* Acquire::http::Proxy "no"; */
Acquire::http::Proxy "http://p.invalid:8080/";
Acquire { http { Proxy { direct.invalid "DIRECT"; }; }; Check-Valid-Until "false"; };
"""


def test_conf(tmp_path: Path) -> None:
    conf = parse_apt_conf(CONF)
    assert conf["acquire::check-valid-until"] == "false"
    assert proxy_for(conf, "http://x.invalid/a") == "http://p.invalid:8080/"
    assert proxy_for(conf, "http://direct.invalid:80/a") == "DIRECT"
    assert proxy_for(conf, "https://x.invalid/a") == "http://p.invalid:8080/"
    assert proxy_for({}, "http://x.invalid/") is None
    (tmp_path / "apt.conf.d").mkdir()
    (tmp_path / "apt.conf.d/10a").write_text('A "1";\nB "1";')
    (tmp_path / "apt.conf.d/20b").write_text('A "2";')
    (tmp_path / "apt.conf.d/30c.bak").write_text('A "3";')
    (tmp_path / "apt.conf").write_text('B "4";')
    assert read_apt_conf(str(tmp_path)) == {"a": "2", "b": "4"}


@pytest.mark.parametrize("parse", [parse_apt_conf, parse_deb822, parse_one_line])
@given(st.text(max_size=200))
def test_anything_is_read(parse: object, text: str) -> None:
    parse(text)  # type: ignore[operator]
