"""What the OpenAPI document says of responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parley.http.problems import CONTENT_TYPE, Problem

_WHEN = {
    400: "The body is not JSON.",
    401: "No token, or a bad one.",
    403: "The token does not allow this.",
    404: "Not there, or not yours.",
    409: "The state of the session, or a limit of the user's, does not allow this now.",
    413: "The body is too large.",
    415: "The body is something else than JSON.",
    422: "A field cannot be taken, or the Idempotency-Key came with another request.",
    429: "Too many requests; `Retry-After` says when there is room again, where that is known.",
    500: "An error on our side.",
    502: "The turn failed: the model or the agent could not answer.",
    503: "A store is down; nothing was lost.",
    504: "The turn goes on; the same Idempotency-Key joins it.",
}
_ALWAYS = (401, 403, 429, 500, 503)


def answers(success: Mapping[int, str], *errors: int) -> dict[int, Any]:
    """Describe a route's responses.

    Args:
        success: What the route gives when all is well, by status; its body is the type that the
            route returns, none for 204.
        errors: The statuses of its errors, besides those that any route may give.
    """
    described: dict[int, Any] = {
        status: {"description": what} | ({"content": {}} if status == 204 else {})
        for status, what in success.items()
    }
    for status in sorted({*errors, *_ALWAYS}):
        described[status] = {
            "description": _WHEN[status],
            "content": {CONTENT_TYPE: {"model": Problem}},
        }
    return described


def errors_of_any(*, takes_something: bool) -> dict[str, Any]:
    """Return the responses of errors that any route may give, as they stand in a document.

    Args:
        takes_something: Whether the route has parameters or a body, which may be wrong.
    """
    statuses = sorted({*_ALWAYS, *((422,) if takes_something else ())})
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {
        str(status): {
            "description": _WHEN[status],
            "content": {CONTENT_TYPE: {"schema": schema}},
        }
        for status in statuses
    }
