"""Read a page of HTML as a browser would: its words, its tags and what they name."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

_EMPTY = {"br", "img", "meta"}


class Page(HTMLParser):
    """The words of a page, and every tag with its attributes; closing tags must fit."""

    def __init__(self, source: str | Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self._inside: dict[str, list[list[str]]] = {}
        text = source if isinstance(source, str) else source.read_text("utf-8")
        self.feed(text)
        self.close()
        assert self._open == [], f"never closed: {self._open}"

    @property
    def text(self) -> str:
        """All words, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def inside(self, tag: str) -> list[str]:
        """Words of every element of a kind, as they stand."""
        return ["".join(part) for part in self._inside.get(tag, [])]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _EMPTY:
            self._open.append(tag)
            self._inside.setdefault(tag, []).append([])

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>"
        self._open.pop()

    def handle_data(self, data):
        if "style" not in self._open:
            self.words.append(data)
        for tag in set(self._open):
            self._inside[tag][-1].append(data)
