"""MCP servers that mean harm, or are merely broken: over HTTP, with answers that a test chooses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from parley_testing.loopback import Handler, LoopbackServer

Act = Callable[["Mcp"], None]
"""What is done in place of an answer to one request."""

TOOL = {"name": "look", "description": "Look.", "inputSchema": {"type": "object"}}


class Mcp(Handler):
    """Speaks the protocol, but for what a test has it do.

    Attributes:
        acts: What is done in place of answering, by method.
        seen: Which methods were asked.
        over: Set when the test is.
        asked: The request, as it came.
    """

    protocol_version = "HTTP/1.1"
    acts: Mapping[str, Act]
    seen: list[str]
    over: threading.Event
    asked: dict[str, Any]

    def do_GET(self) -> None:
        self.seen.append("GET")
        self.answer(b"", 405)

    def do_DELETE(self) -> None:
        self.answer(b"", 200)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked = json.loads(body)
        method = self.asked.get("method", "")
        self.seen.append(method)
        act = self.acts.get(method)
        if act is not None:
            act(self)
        elif "id" not in self.asked:
            self.answer(b"", 202)
        elif method == "initialize":
            told = {"tools": {"listChanged": True}}
            self.result(
                {
                    "protocolVersion": self.asked["params"]["protocolVersion"],
                    "capabilities": told,
                    "serverInfo": {"name": "hostile", "version": "1"},
                }
            )
        elif method == "tools/list":
            self.result({"tools": [TOOL]})
        else:
            self.result({"content": [{"type": "text", "text": "seen"}]})

    def result(self, result: Any) -> None:
        """Answer with a result."""
        self.said({"result": result})

    def said(self, fields: dict[str, Any]) -> None:
        """Answer the request with fields of a JSON-RPC message."""
        message = {"jsonrpc": "2.0", "id": self.asked.get("id"), **fields}
        self.answer(json.dumps(message).encode(), content_type="application/json")

    def stream(self) -> None:
        """Begin an answer that is a stream of events, and ends with the connection."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, message: Any) -> None:
        """Send one event of a stream."""
        self.wfile.write(f"event: message\ndata: {json.dumps(message)}\n\n".encode())
        self.wfile.flush()


class McpStandIn(LoopbackServer):
    """One such server.

    Attributes:
        acts: What it does in place of answering, by the method that it is asked.
        seen: Which methods it was asked.
        over: Set when the test is: what never answers waits for it.
    """

    def __init__(self) -> None:
        """Take a port."""
        self.acts: dict[str, Act] = {}
        self.seen: list[str] = []
        self.over = threading.Event()
        fields = {"acts": self.acts, "seen": self.seen, "over": self.over}
        super().__init__(type("OfTest", (Mcp,), fields))

    def __exit__(self, *given: object) -> None:
        self.over.set()
        super().__exit__(*given)
