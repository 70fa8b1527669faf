"""A small HTTP server on loopback: gives pages, and keeps what it is sent."""

from __future__ import annotations

import json
from typing import Any

from parley_testing.loopback import Handler, LoopbackServer


class Pages(LoopbackServer):
    """Answers GET with the page of that path, and PUT with an empty 200.

    Attributes:
        pages: JSON documents by path.
        sent: What was put, read as JSON.
    """

    def __init__(self) -> None:
        super().__init__(self._handler(), finishes=True)
        self.pages: dict[str, Any] = {}
        self.sent: list[Any] = []

    def _handler(self) -> type[Handler]:
        owner = self

        class Giving(Handler):
            def do_GET(self) -> None:
                self.answer(json.dumps(owner.pages[self.path]).encode())

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                owner.sent.append(json.loads(body))
                self.answer(b"")

        return Giving
