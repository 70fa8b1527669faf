"""Server-sent events as they are on the wire, in pieces of any size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST_EVENT_BYTES = 8 * 1024 * 1024

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class Malformed(ValueError):
    """What came is no stream of events."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event; `id` is None where it names none."""

    id: str | None
    event: str
    data: str


class Parser:
    """Reads one stream, as the HTML standard says (section 9.2.6).

    An event that the end of the stream cuts off is none.

    Attributes:
        comments: How many comment lines there were.
        retry_seconds: After how long the server wants to be asked again; None if it did not say.
    """

    def __init__(self) -> None:
        self.comments = 0
        self.retry_seconds: float | None = None
        self._begun = False
        self._after_cr = False
        self._line = bytearray()
        self._id: str | None = None
        self._event = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """Take what came next and give the events that are whole with it, in order.

        Raises:
            Malformed: It is not UTF-8, or an event has more than `LONGEST_EVENT_BYTES`.
        """
        for line in self._lines(chunk):
            frame = self._take(line)
            if frame is not None:
                yield frame
        self._check_size(self._size + len(self._line))

    def _lines(self, chunk: bytes) -> list[bytes]:
        if not chunk:
            return []
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        first, *others = _LINE_END.split(chunk)
        self._line += first
        lines = []
        for other in others:
            lines.append(bytes(self._line))
            self._line = bytearray(other)
        return lines

    def _take(self, line: bytes) -> Frame | None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if not line:
            return self._event_ended()
        self._size += len(line)
        self._check_size(self._size)
        try:
            name, _, value = line.decode().partition(":")
        except UnicodeDecodeError as error:
            raise Malformed("a line is not UTF-8 text") from error
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments += 1
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_seconds = float(value) / 1000
        return None

    def _event_ended(self) -> Frame | None:
        frame = None
        if self._data:
            frame = Frame(self._id, self._event or "message", "\n".join(self._data))
        self._id, self._event, self._data, self._size = None, "", [], 0
        return frame

    def _check_size(self, size: int) -> None:
        if size > LONGEST_EVENT_BYTES:
            raise Malformed(f"an event has more than {LONGEST_EVENT_BYTES} bytes")
