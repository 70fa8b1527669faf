"""What is told of a request that was answered: one line, with the ids of what it was about."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from parley.http.paths import named_ids
from parley_local.request_context import RequestContext

log = logging.getLogger("parley_local.gateway")

_BODY_LIMIT = 1024 * 1024

Headers = Iterable[tuple[str, str]]


def log_request(
    context: RequestContext,
    status: int | None,
    *more: str | None,
    headers: Headers = (),
    body: bytes = b"",
) -> None:
    """Log a request.

    Args:
        context: The request.
        status: The response's; None if there was none.
        more: What else there is to say.
        headers: The response's.
        body: The response's, where it is whole.
    """
    path = context.request.path
    milliseconds = (datetime.now(UTC) - context.time) / timedelta(milliseconds=1)
    ids = ids_of(path, headers, body)
    known = {
        "request_id": context.request_id,
        "method": context.request.method,
        "path": path,
        "status": status,
        "milliseconds": round(milliseconds, 1),
    }
    said = "".join(f", {text}" for text in more if text)
    said += "".join(
        f", {name.removesuffix('_id')} {ids[name]}" for name in ids if ids[name] not in path
    )
    log.info(
        "%s %s %s %d ms%s",
        context.request.method,
        path,
        "-" if status is None else status,
        milliseconds,
        said,
        extra={"fields": {**ids, **known}},
    )


def ids_of(path: str, headers: Headers = (), body: bytes = b"") -> dict[str, str]:
    """Return the ids of the session and the turn that a request was about, as far as it says.

    Args:
        path: The request's.
        headers: The response's; its Location names what was made.
        body: The response's; a problem document names them too.
    """
    location = next((value for name, value in headers if name.lower() == "location"), "")
    said = _problem(headers, body)
    told = {name: str(said[name]) for name in ("session_id", "turn_id") if name in said}
    return told | named_ids(path, location)


def _problem(headers: Headers, body: bytes) -> dict[str, Any]:
    kind = next((value for name, value in headers if name.lower() == "content-type"), "")
    if not body or len(body) > _BODY_LIMIT or "problem+json" not in kind:
        return {}
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
