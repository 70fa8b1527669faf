"""Responses on their way through an ASGI server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import Message, Send


class Outgoing:
    """A response that is being sent; takes the place of the server's `send`.

    Attributes:
        status: What it began with; None as long as it has not.
        complete: Whether all of it was sent.
        location: What its Location says; nothing if it has none.
        farewell: What is sent last if it is cut off.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None
        self.complete = False
        self.location = ""
        self.farewell = b""

    async def __call__(self, message: Message) -> None:
        """Send a part of it; waits for readers that are slow."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.complete = not message.get("more_body", False)
        await self._send(message)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send its head."""
        self.location = headers.get("Location", "")
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self({"type": "http.response.start", "status": status, "headers": raw})

    async def part(self, body: bytes) -> None:
        """Send a part of its body, after which there are others."""
        await self({"type": "http.response.body", "body": body, "more_body": True})

    async def finish(self, body: bytes = b"") -> None:
        """Send the end of it."""
        await self({"type": "http.response.body", "body": body, "more_body": False})

    async def whole(self, response: Mapping[str, Any]) -> None:
        """Send a response of the REST API's form."""
        status, headers = response["statusCode"], headers_of(response)
        body = (response.get("body") or "").encode()
        if status == 204:
            headers.pop("Content-Type", None)
        else:
            headers["Content-Length"] = str(len(body))
        await self.begin(status, headers)
        await self.finish(body)


def headers_of(response: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of a response of the REST API's form."""
    several = response.get("multiValueHeaders") or {}
    return {name: ", ".join(values) for name, values in several.items()} | {
        **(response.get("headers") or {})
    }
