"""What goes between a client and Postgres: counted, and broken on demand."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from typing import Self
from urllib.parse import parse_qs, urlsplit


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
        self._to_lose: str | None = None
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(timeout=5)

    def reset(self) -> None:
        """Count from here."""
        self.statements.clear()
        self.round_trips = 0

    def lose_answer(self, statement: str) -> None:
        """Let the next statement that fits this pattern through, and close instead of answering."""
        self._to_lose = statement

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
        if self._to_lose is not None and re.search(self._to_lose, statement):
            self._to_lose = None
            losing.set()

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


def _messages(source: socket.socket, *, startup: bool) -> Iterator[tuple[bytes, bytes]]:
    """Give (kind, the whole message) until the connection is closed."""
    with source.makefile("rb") as stream:
        try:
            if startup:
                size = stream.read(4)
                yield b"-", size + stream.read(int.from_bytes(size) - 4)
            while kind := stream.read(1):
                size = stream.read(4)
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
