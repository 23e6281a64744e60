"""Relative links between pages lead somewhere: Sphinx checks those inside docs, this one all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ('*.md', 'docs/**/*.md', 'studies/*.md', 'examples/*.md', 'findings/*.md')
    for path in ROOT.glob(pattern)
    if '_build' not in path.parts
)
_LINK = re.compile(r'\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)')


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, made as GitHub makes them."""
    headings = re.findall(r'^#+ (.+)$', page.read_text(encoding='utf-8'), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    """Every relative link names a file and a heading that exist."""
    dead = []
    for target, anchor in _LINK.findall(page.read_text(encoding='utf-8')):
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(f'{target}#{anchor}')
    assert dead == []
