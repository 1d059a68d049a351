"""Links between the documents: none leads nowhere."""

import re
from pathlib import Path

import pytest

from tests.console_blocks import FENCE, ROOT, pages

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")

EXTERNAL = re.compile(r"https?://[\w.-]+(:\d+)?(/[\w.~:/?#@!$&'*+,;=%-]*)?")
"""Form of a link to elsewhere, which is not followed."""

DOCS = ROOT / "docs"


def prose(page: Path) -> str:
    """A page without what stands in code."""
    return re.sub(r"`[^`\n]*`", lambda match: match[0].replace("](", "] ("), FENCE.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE):
        text = LINK.sub(lambda match: match[0].partition("](")[0][1:], heading)
        plain = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found[plain] = found.get(plain, -1) + 1
    return {f"{name}-{n}" if n else name for name, last in found.items() for n in range(last + 1)}


def dead(page: Path, target: str) -> str | None:
    """Why a link is dead; None: it is not."""
    path, _, anchor = target.partition("#")
    if "://" in path:
        return None if EXTERNAL.fullmatch(target) else "not a link"
    there = (page.parent / path).resolve() if path else page
    if not there.exists():
        return "no such file"
    if not there.is_relative_to(ROOT):
        return "outside of the repository"
    return "no such heading" if anchor and anchor not in anchors(there) else None


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page):
    """Files exist, headings too; links to elsewhere have the form of one."""
    found = {target: dead(page, target) for target in LINK.findall(prose(page))}
    assert {} == {target: why for target, why in found.items() if why}


def test_dead_links_are_found():
    """Or the test above would prove nothing."""
    page = DOCS / "README.md"
    wrong = ("nowhere.md", "http.md#nowhere", "#nowhere", "https:/example.com", "../../elsewhere.md")
    assert [] == [target for target in wrong if dead(page, target) is None]
    right = ("http.md#errors", "#decisions", "../README.md", "https://iceberg.apache.org/spec/#x")
    assert [] == [target for target in right if dead(page, target) is not None]


def test_index_has_every_page_and_decision():
    """The index leads to each of them, to decisions by number and title."""
    text = (DOCS / "README.md").read_text()
    linked = {(DOCS / target).resolve() for target in LINK.findall(text)}
    assert set(pages()) - {DOCS / "README.md"} <= linked
    for decision in (DOCS / "decisions").glob("*.md"):
        number, _, title = decision.read_text().partition("\n")[0].removeprefix("# ").partition(": ")
        assert f"- [{number}](decisions/{decision.name}): {title}\n" in text
