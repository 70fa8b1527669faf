"""Routes of a project's own: asked as Parley's are, with the same retries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from parley_client.call import Call, Page, Series, key_or_new, shown_as

_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})


def request(
    method: str,
    path: str,
    *,
    query: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> Call[Any]:
    """Ask a route of the project's, and return what it answers as JSON; None where that is empty.

    A POST has an Idempotency-Key, and it, GET, HEAD, PUT and DELETE are sent again where an answer
    was lost; a PATCH is not, as somebody may have changed the same meanwhile.

    Args:
        method: In capital letters.
        path: Below the API's address, from its slash on, quoted.
        query: Parameters; those that are None are not sent.
        body: Sent as JSON; times and ids as text.
        idempotency_key: The key of a POST; made if None.
    """
    return Call(
        method,
        path,
        _json,
        query=query or {},
        body=body,
        key=key_or_new(idempotency_key) if method == "POST" else None,
        repeatable=method in _REPEATABLE or method == "POST",
    )


def request_items(
    path: str, *, query: Mapping[str, Any] | None = None, page_size: int = 100
) -> Series[Any]:
    """List the items of a route of the project's that answers in pages, as Parley's lists do.

    Args:
        path: Below the API's address, from its slash on, quoted.
        query: Parameters; those that are None are not sent.
        page_size: How many items to ask for at once, 1 to 100.
    """
    return Series(
        lambda cursor: Call(
            "GET",
            path,
            shown_as(Page[Any]),
            query={**(query or {}), "limit": page_size, "cursor": cursor},
        )
    )


def _json(response: httpx.Response) -> Any:
    return response.json() if response.content else None
