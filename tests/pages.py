"""Reads pages as a strict browser would."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "link", "input"}
INLINE = {"code", "b", "small"}
# A tag that fetches something, or a style that does.
EXTERNAL = re.compile(r"""<script|<link|<iframe|@import|url\(|\b(src|href)\s*=""", re.IGNORECASE)


class Balanced(HTMLParser):
    """Reads a page and checks that every tag is closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag not in INLINE:
            self.words.append(" ")

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        assert tag == "path"  # only SVG has such tags

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


def words(page: str) -> str:
    """The page's text, after checking that it is well-formed and needs nothing else."""
    assert not EXTERNAL.search(page)
    assert "http://" not in page and "https://" not in page
    return " ".join("".join(Balanced(page).words).replace("\xa0", " ").split())
