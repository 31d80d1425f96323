"""The elements of a JSON list, one after the other, from a file that may be too large to be held as a tree.

LeanDojo's training set is one list of hundreds of megabytes. Text is read in pieces, and an element is decoded as soon
as it is whole; memory holds one piece and one element.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

_PIECE = 2**20
_SPACE = re.compile(r"[ \t\n\r]*")


class JsonListError(ValueError):
    """A text that is no JSON list; the message is one line."""


def read_json_list(file: TextIO, *, piece: int = _PIECE) -> Iterator[Any]:
    """Yield the elements. Raises JsonListError, also behind good elements, for a text that is no JSON list."""
    text = _Text(file, piece)
    if text.next_mark() != "[":
        raise JsonListError("expected a JSON list of objects; a file with one object a line is named .jsonl")
    text.skip(1)
    if text.next_mark() == "]":
        text.skip(1)
    else:
        while True:
            yield text.element()
            mark = text.next_mark()
            if mark not in (",", "]"):
                raise JsonListError(f"malformed JSON (expected ',' or ']' at character {text.position + 1})")
            text.skip(1)
            if mark == "]":
                break
    if text.next_mark():
        raise JsonListError(f"malformed JSON (extra data at character {text.position + 1})")


class _Text:
    """A window on a file's text that grows at its end and is cut at its front."""

    def __init__(self, file: TextIO, piece: int) -> None:
        self._file, self._piece = file, piece
        self._window, self._at, self._before = "", 0, 0

    @property
    def position(self) -> int:
        return self._before + self._at

    def next_mark(self) -> str:
        """The next character that is no space, which stays; empty at the end of the file."""
        while True:
            self._at = _SPACE.match(self._window, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._grow():
                return ""

    def skip(self, count: int) -> None:
        self._at += count

    def element(self) -> Any:
        """The value that begins here, once `,` or `]` stands behind it: `12` may be the beginning of `12.5`."""
        self.next_mark()
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._window, self._at)
            except json.JSONDecodeError as error:
                if self._grow():
                    continue
                place = self._before + error.pos + 1
                raise JsonListError(f"malformed JSON ({error.msg} at character {place})") from None
            behind = _SPACE.match(self._window, end).end()  # type: ignore[union-attr]
            if self._window[behind : behind + 1] in (",", "]") or not self._grow():
                self._at = end
                return value

    def _grow(self) -> bool:
        """Read on, by as much as there is already, so that a long element is not decoded over and over."""
        piece = self._file.read(max(self._piece, len(self._window) - self._at))
        if piece:
            self._before += self._at
            self._window, self._at = self._window[self._at :] + piece, 0
        return bool(piece)
