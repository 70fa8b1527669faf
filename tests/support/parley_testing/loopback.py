"""A small HTTP server on loopback, in a thread of the test's process."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Handler(BaseHTTPRequestHandler):
    """Answers requests; what it would log, it keeps to itself."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on standard error."""

    def answer(self, body: bytes, status: int = 200, content_type: str | None = None) -> None:
        """Answer the request whole."""
        self.send_response(status)
        if content_type is not None:
            self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class LoopbackServer:
    """Serves from when its block is entered, each connection in a thread, on a port of its own.

    Attributes:
        url: Where it is, without a path. Known, and connections wait, before the block is entered.
    """

    def __init__(self, handler: type[BaseHTTPRequestHandler], *, finishes: bool = False) -> None:
        """Take a port.

        Args:
            handler: Answers the requests.
            finishes: Leaving the block waits for what is still answered. Not for clients that keep
                connections open, or open some ahead, as browsers do.
        """
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = not finishes
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
