"""Texts and JSON that come piece by piece, at a cost that grows with their length and no faster."""

from __future__ import annotations

import re

from parley.text import Pieces

_HELD_PART = 1024

_TOKENS = re.compile(r'\\.|["{}\[\]]', re.DOTALL)


class Growing:
    """A text that is given on in pieces that grow with it.

    The SDK copies all that it has of a text at each piece, which costs the square of the length. Of
    what was given on, up to a 1024th is held back until more comes: no reader sees a text of 10,000
    characters stand still for more than ten of them.
    """

    def __init__(self) -> None:
        self._pieces = Pieces()
        self._held: list[str] = []
        self._holding = 0
        self._given = 0

    def add(self, piece: str) -> str:
        """Return what is to be given on when a piece has come; it may be nothing."""
        text = self._pieces.add(piece)
        self._held.append(text)
        self._holding += len(text)
        return self._give() if self._holding > self._given // _HELD_PART else ""

    def rest(self) -> str:
        """Return all that is held back."""
        self._held.append(self._pieces.rest())
        return self._give()

    def _give(self) -> str:
        text = "".join(self._held)
        self._held.clear()
        self._holding = 0
        self._given += len(text)
        return text


class Nesting:
    """Tells when a JSON object that comes piece by piece is closed; each piece is read once."""

    def __init__(self) -> None:
        self._depth = 0
        self._begun = False
        self._quoted = False
        self._cut = ""

    @property
    def is_closed(self) -> bool:
        """Whether an object has begun, and all that has begun has ended."""
        return self._begun and self._depth <= 0 and not self._quoted

    def add(self, piece: str) -> None:
        """Read a piece."""
        text = self._cut + piece
        end = 0
        for token in _TOKENS.finditer(text):
            end = token.end()
            match token[0]:
                case '"':
                    self._quoted = not self._quoted
                case "{" | "[" if not self._quoted:
                    self._begun = True
                    self._depth += 1
                case "}" | "]" if not self._quoted:
                    self._depth -= 1
        self._cut = "\\" if text.endswith("\\") and end < len(text) else ""
