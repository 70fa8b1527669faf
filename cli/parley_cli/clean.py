"""Text from elsewhere, made harmless for a terminal."""

from __future__ import annotations

import re

# Control characters, among them those that begin escape sequences, and those that turn the
# direction of text, by which a line can be made to read as another. Joiners, as in emoji, stay.
_HARMFUL = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_IN_TEXT = re.compile(f"[{_HARMFUL}]")
_IN_LINE = re.compile(r"[\t\n]+")


def clean(text: str) -> str:
    """Replace what could steer a terminal; lines and tabs stay."""
    return _IN_TEXT.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def clean_line(text: str) -> str:
    """Do the same, and put a space for each tab and line end."""
    return _IN_LINE.sub(" ", clean(text))


def clean_json(document: str) -> str:
    """Escape what could steer a terminal, without changing what the document means."""
    return _IN_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", document)
