"""An ASGI app as the handler of REST API events: what the adapter and its server are to it."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlencode

from starlette.types import ASGIApp, Message

from parley import loop

Handler = Callable[[Mapping[str, Any], Any], dict[str, Any]]


def handler_of(app: ASGIApp) -> Handler:
    """Return a handler that answers an event with all that the app says to it, until its end."""

    def handle(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        return loop.run(_answer(app, event, context))

    return handle


async def _answer(app: ASGIApp, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    body = event["body"] or ""
    content = b64decode(body) if event["isBase64Encoded"] else body.encode(errors="surrogatepass")
    left = [{"type": "http.request", "body": content, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()  # its reader does not go away
        return left.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    await app(_scope(event, context), receive, send)
    start, *parts = sent
    return {
        "statusCode": start["status"],
        "headers": {name.decode(): value.decode() for name, value in start["headers"]},
        "body": b"".join(part["body"] for part in parts).decode(),
    }


def _scope(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    invocation = {
        "request_id": context.aws_request_id,
        "deadline": time.time() * 1000 + context.get_remaining_time_in_millis(),
    }
    headers = [
        (name.lower().encode(), value.encode())
        for name, values in (event["multiValueHeaders"] or {}).items()
        for value in values
    ]
    query = urlencode(event["multiValueQueryStringParameters"] or {}, doseq=True)
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": event["httpMethod"],
        "scheme": "http",
        "path": unquote(event["path"]),
        "raw_path": event["path"].encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            *headers,
            (b"x-amzn-request-context", json.dumps(event["requestContext"]).encode()),
            (b"x-amzn-lambda-context", json.dumps(invocation).encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
    }
