"""The pages: every link between them leads somewhere, and README leads to all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")


def links(page: Path) -> Iterator[Path]:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for target in _LINK.findall(text):
        if "://" not in target:
            yield (page.parent / target).resolve()


def test_links_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert not [(str(page.relative_to(ROOT)), str(link)) for page in pages for link in links(page) if not link.exists()]


def test_readme_leads_to_every_page() -> None:
    reached, new = set[Path](), {ROOT / "README.md"}
    while new:
        page = new.pop()
        reached.add(page)
        new |= {link for link in links(page) if link.suffix == ".md"} - reached
    assert set((ROOT / "docs").rglob("*.md")) - reached == set()
