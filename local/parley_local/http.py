"""Requests read from, and responses written to, an ASGI server."""

from __future__ import annotations

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from parley_local.messages import HttpRequest, HttpResponse

# How much of a body over the limit is read on, so that the client gets to see its 413: a server
# that hangs up while a client still sends is a broken connection to that client.
_PATIENCE = 64 * 1024 * 1024


async def receive_request(scope: Scope, receive: Receive, limit: int) -> tuple[HttpRequest, bool]:
    """Read a request; whether its body is over the limit (in bytes) comes second.

    Of a body over the limit nothing is kept.

    Raises:
        ClientDisconnect: The client went away before all was there.
    """
    body, size, more = bytearray(), 0, True
    while more and size <= limit + _PATIENCE:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        more = message.get("more_body", False)
        if size <= limit:
            body += part
    too_large = size > limit
    client = scope.get("client")
    return HttpRequest(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ),
        body=b"" if too_large else bytes(body),
        client=client[0] if client else "127.0.0.1",
        protocol=f"HTTP/{scope['http_version']}",
    ), too_large


async def send_response(send: Send, response: HttpResponse, method: str) -> None:
    """Write a response; one to HEAD goes without its body."""
    headers = [
        (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in response.headers
    ]
    body = b"" if method == "HEAD" else response.body
    if response.status not in (204, 304) and response.status >= 200:
        headers.append((b"content-length", str(len(response.body)).encode()))
    else:
        body = b""
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
