"""Requests as the Lambda Web Adapter forwards them, read as the REST API events that they were.

The resolver, which validates what routes take, reads events and nothing else; and who calls, the
adapter tells only as the event did.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request

from parley.timing import INVOCATION_SECONDS, Deadline

_CONTEXT = b"x-amzn-request-context"
_INVOCATION = b"x-amzn-lambda-context"


@dataclass(frozen=True, slots=True)
class Invocation:
    """The invocation that a request came in.

    Attributes:
        id: Lambda's id of it.
        deadline: When it ends.
        trace: The trace that it belongs to, as its header names it.
    """

    id: str
    deadline: Deadline
    trace: str | None


def invocation_of(request: Request) -> Invocation:
    """Read what the adapter says of the invocation."""
    said = _json_header(request, _INVOCATION)
    told = said.get("deadline")
    ends = told / 1000 if isinstance(told, int | float) else time.time() + INVOCATION_SECONDS
    return Invocation(
        id=str(said.get("request_id") or ""),
        deadline=Deadline.at(ends),
        trace=request.headers.get("x-amzn-trace-id"),
    )


async def event_of(request: Request, resource: str, *, body_max_bytes: int) -> dict[str, Any]:
    """Make the event of a request, as API Gateway made it.

    Of a body that is too large there is only so much that this can be seen.

    Args:
        request: The request.
        resource: The path as routes have it, with names for the ids.
        body_max_bytes: How large a body may be.

    Raises:
        ClientDisconnect: The client went away before all was there.
    """
    headers = _grouped(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request.headers.raw
        if name not in (_CONTEXT, _INVOCATION)
    )
    query = parse_qs(request.url.query, keep_blank_values=True)
    body = await _body(request, body_max_bytes)
    return {
        "resource": resource,
        # As it was sent: the server has decoded what it calls the path.
        "path": request.scope["raw_path"].decode("latin-1"),
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": _json_header(request, _CONTEXT),
        "body": b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
    }


async def _body(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    # All of it is taken, or a client that still sends would not see its answer.
    async for part in request.stream():
        body += part[: max_bytes + 1 - len(body)]
    return bytes(body)


def _json_header(request: Request, name: bytes) -> dict[str, Any]:
    """Read a header of the adapter's; it is in UTF-8, as no header of a client's is."""
    for given, value in request.headers.raw:
        if given == name:
            try:
                said = json.loads(value)
            except ValueError:
                break
            return said if isinstance(said, dict) else {}
    return {}


def _grouped(pairs: Any) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped
