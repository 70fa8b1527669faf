"""What goes between a client and DynamoDB, over HTTP: broken on demand."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from parley_testing.loopback import Handler, LoopbackServer
from parley_testing.waiting import HANG_SECONDS

Answer = tuple[int, bytes]
Serve = Callable[[], Answer]
Fault = Callable[[Serve], Answer | None]
"""Serves a request, or not, and gives the answer; None closes the connection instead."""


class DynamoDbWire(LoopbackServer):
    """A proxy on loopback in front of moto's server.

    Attributes:
        url: What a client connects to.
        sent: The operations asked for so far, in order.
    """

    def __init__(self, url: str) -> None:
        super().__init__(self._handler())
        self.sent: list[str] = []
        self._behind = urlsplit(url).netloc
        self._break: tuple[str, Fault, bool] | None = None
        self._restored = threading.Event()
        self._lock = threading.Lock()

    def __exit__(self, *_: object) -> None:
        self.restore()
        super().__exit__()

    def refuse(self, operation: str, code: str, status: int = 400, *, always: bool = True) -> None:
        """Answer every request of this kind, or only the next, with an error."""
        body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}"}).encode()
        self._break = (operation, lambda _: (status, body), always)

    def drop(self, operation: str, *, always: bool = True) -> None:
        """Close instead of serving every request of this kind, or only the next."""
        self._break = (operation, lambda _: None, always)

    def lose_answer(self, operation: str, *, always: bool = True) -> None:
        """Serve every request of this kind, or only the next, and close instead of answering."""

        def lose(serve: Serve) -> None:
            serve()

        self._break = (operation, lose, always)

    def stall(self, operation: str) -> None:
        """Neither serve nor answer any request of this kind from now on."""
        self._restored.clear()

        def wait(_: Serve) -> None:
            self._restored.wait(HANG_SECONDS)

        self._break = (operation, wait, True)

    def restore(self) -> None:
        """Let everything through again."""
        self._break = None
        self._restored.set()

    def _answer(self, operation: str, serve: Serve) -> Answer | None:
        self.sent.append(operation)
        fault: Fault | None = None
        if self._break is not None and self._break[0] == operation:
            _, fault, always = self._break
            if not always:
                self._break = None
        return serve() if fault is None else fault(serve)

    def _handler(self) -> type[Handler]:
        wire = self

        class Passing(Handler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name: value for name, value in self.headers.items() if name != "Host"}
                operation = self.headers["X-Amz-Target"].rpartition(".")[2]
                answer = wire._answer(operation, lambda: wire._serve(body, headers))
                if answer is None:
                    self.close_connection = True
                    return
                status, body = answer
                self.answer(body, status, "application/x-amz-json-1.0")

        return Passing

    def _serve(self, body: bytes, headers: dict[str, str]) -> Answer:
        # Moto checks a condition and writes in two steps; DynamoDB does both in one.
        with self._lock:
            connection = http.client.HTTPConnection(self._behind, timeout=HANG_SECONDS)
            try:
                connection.request("POST", "/", body, headers)
                response = connection.getresponse()
                return response.status, response.read()
            finally:
                connection.close()
