"""A server on loopback that gives a turn's events, and is as bad at it as it is told to be."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message

from parley_testing.loopback import Handler, LoopbackServer
from parley_testing.streams.event_stream import Event, frame

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


@dataclass(frozen=True)
class Act:
    """How one request is answered; by default with all events after the last that is known.

    Attributes:
        status: Another than 200 is all of the answer.
        back: Begins so many events earlier.
        without: Leaves out the event of this place among those.
        events: Ends, as is proper, after so many.
        cut: Hangs up after so many bytes of the answer, head and all.
        reset: Hangs up without as much as an end.
        chunk: How many bytes go into one piece.
        hold: Does not end, but waits until the reader has gone.
    """

    status: int = 200
    back: int = 0
    without: int | None = None
    events: int | None = None
    cut: int | None = None
    reset: bool = False
    chunk: int = 100_000
    hold: bool = False


@dataclass(frozen=True)
class Asked:
    """A request as it came over the wire."""

    method: str
    path: str
    headers: Message[str, str]


class EventServer(LoopbackServer):
    """Answers each request with the next act of its plan, and then as it should.

    Attributes:
        asked: The requests so far.
        left: Set when a reader has gone whom it would have told more.
    """

    def __init__(self, events: Sequence[Event], *plan: Act) -> None:
        super().__init__(self._handler())
        self.asked: list[Asked] = []
        self.left = threading.Event()
        self._events = events
        self._plan = list(plan)

    def _body(self, act: Act, after: int) -> bytes:
        told = list(self._events[max(0, after - act.back) :])
        if act.without is not None:
            del told[act.without : act.without + 1]
        return b"retry: 0\n\n" + b": hello\n\n".join(map(frame, told[: act.events]))

    def _handler(self) -> type[Handler]:
        server = self

        class Telling(Handler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(0)

            def do_GET(self) -> None:
                self._answer(int(self.headers.get("Last-Event-ID", "0")))

            def _answer(self, after: int) -> None:
                server.asked.append(Asked(self.command, self.path, self.headers))
                act = server._plan.pop(0) if server._plan else Act()
                if act.status != 200:
                    self.send_response(act.status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                raw = _HEAD + _chunked(server._body(act, after), act.chunk)
                if not act.hold:
                    raw += b"0\r\n\r\n"
                self.wfile.write(raw[: act.cut])
                if act.hold:
                    self.close_connection = True
                    # One that goes before it has read all resets the connection.
                    with suppress(ConnectionResetError):
                        assert self.rfile.read(1) == b""
                    server.left.set()
                elif act.cut is not None and act.cut < len(raw):
                    self.close_connection = True
                    if act.reset:
                        linger = struct.pack("ii", 1, 0)
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        self.connection.close()

        return Telling


def _chunked(body: bytes, size: int) -> bytes:
    pieces = (body[begin : begin + size] for begin in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
