"""Refuses requests that are meant for another machine's name.

A page of the web may have its own name lead to this machine (DNS rebinding), and its scripts may
then read what is answered here as if it were their own server's. The name stands in `Host`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

_OURS = ("127.0.0.1", "[::1]", "localhost")

_PROBLEM = {
    "type": "about:blank",
    "title": "Misdirected Request",
    "status": 421,
    "code": "foreign_host",
    "detail": "Only requests to localhost, 127.0.0.1 or [::1] are answered here; whatever leads "
    "others here has to put one of these names into Host.",
}


class OwnHosts:
    """An ASGI app that lets an app see only requests to the names that loopback has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 421."""
        if scope["type"] != "http" or _is_for_us(scope["headers"]):
            await self._app(scope, receive, send)
            return
        body = json.dumps(_PROBLEM).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 421, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _is_for_us(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    hosts = [value.decode("latin-1") for name, value in headers if name.lower() == b"host"]
    # Of several the app might read another one than was looked at.
    return len(hosts) == 1 and is_our_name(hosts[0])


def is_our_name(host: str) -> bool:
    """Return whether a `Host` header names this machine's loopback, at whatever port."""
    name, colon, port = host.lower().rpartition(":")
    if not colon or not port.isdecimal():
        name = host.lower()
    # No name below localhost is anybody's in the DNS (RFC 6761).
    return name in _OURS or name.endswith(".localhost")
