"""What goes between a client and Postgres: counted, and broken on demand."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Self
from urllib.parse import parse_qs, urlsplit

from parley_testing.waiting import HANG_SECONDS


class PostgresWire:
    """A proxy on loopback in front of a Postgres that listens on a Unix socket.

    Attributes:
        url: What a client connects to.
        statements: The statements sent so far, in order.
        round_trips: How often a client waited for an answer; opening a connection not counted.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        user = parts.netloc.partition("@")[0]
        self.url = (
            f"{parts.scheme}://{user}@127.0.0.1:{port}{parts.path}"
            "?sslmode=disable&gssencmode=disable"
        )
        self.statements: list[str] = []
        self.round_trips = 0
        self._break: tuple[str, Callable[[threading.Event], object], bool] | None = None
        self._refusing = False
        self._restored = threading.Event()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(timeout=5)

    def reset(self) -> None:
        """Count from here."""
        self.statements.clear()
        self.round_trips = 0

    def lose_answer(self, statement: str, *, always: bool = False) -> None:
        """Let the next statement that fits this pattern through, and close instead of answering.

        Args:
            statement: A regular expression.
            always: Every such statement from now on.
        """
        self._break = (statement, threading.Event.set, always)

    def drop(self, statement: str, *, always: bool = False) -> None:
        """Close instead of letting the next statement that fits this pattern through."""
        self._break = (statement, _drop, always)

    def stall(self, statement: str) -> None:
        """Let no statement that fits this pattern through from now on, and say nothing."""
        self._restored.clear()

        def wait(losing: threading.Event) -> None:
            self._restored.wait(HANG_SECONDS)
            _drop(losing)

        self._break = (statement, wait, True)

    def before(self, statement: str, action: Callable[[], object]) -> None:
        """Do something before the next statement that fits this pattern is let through."""
        self._break = (statement, lambda _: action(), False)

    def refuse(self) -> None:
        """Close every connection, and new ones at once."""
        self._refusing = True
        self.cut()

    def restore(self) -> None:
        """Let everything through again."""
        self._break, self._refusing = None, False
        self._restored.set()

    def cut(self) -> None:
        """Close every connection, as a server does that goes away."""
        while self._open:
            _close(self._open.pop())

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed: the test is over
            if self._refusing:
                client.close()
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            self._open += [client, server]
            losing = threading.Event()
            self._start(self._forward, client, server, losing)
            self._start(self._answer, server, client, losing)

    def _forward(
        self, client: socket.socket, server: socket.socket, losing: threading.Event
    ) -> None:
        try:
            for kind, message in _messages(client, startup=True):
                if kind in (b"Q", b"P"):  # a query; a statement to parse, after its name
                    texts = message[5:].split(b"\0")
                    self._seen(texts[0 if kind == b"Q" else 1].decode(), losing)
                self.round_trips += kind in (b"Q", b"S")
                server.sendall(message)
        except OSError:
            return  # closed from the other side
        finally:
            _close(server)

    def _seen(self, statement: str, losing: threading.Event) -> None:
        self.statements.append(statement)
        if self._break is not None and re.search(self._break[0], statement):
            _, action, always = self._break
            if not always:
                self._break = None
            action(losing)

    def _answer(
        self, server: socket.socket, client: socket.socket, losing: threading.Event
    ) -> None:
        try:
            for kind, message in _messages(server, startup=False):
                if not losing.is_set():
                    client.sendall(message)
                elif kind == b"Z":  # ready for the next: this one was carried out
                    break
        except OSError:
            return  # closed from the other side
        finally:
            _close(client)
            _close(server)


def _drop(_: threading.Event) -> None:
    raise ConnectionAbortedError


def _messages(source: socket.socket, *, startup: bool) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, the whole message) until the connection is closed."""
    with source.makefile("rb") as stream:
        try:
            # Whoever is cut off may have sent half a message.
            if startup and len(size := stream.read(4)) == 4:
                yield b"-", size + stream.read(int.from_bytes(size) - 4)
            while (kind := stream.read(1)) and len(size := stream.read(4)) == 4:
                yield kind, kind + size + stream.read(int.from_bytes(size) - 4)
        except OSError:
            return  # closed from the other side


def _close(side: socket.socket) -> None:
    try:
        side.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # closed already
    finally:
        side.close()
