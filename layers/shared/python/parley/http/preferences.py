"""The Prefer header (RFC 7240): what a client would like, where the server can do it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Header

RESPOND_ASYNC = "respond-async"

Prefer = Annotated[
    list[str] | None,
    Header(
        alias="Prefer",
        description="`respond-async`: do not wait for the reply. Other preferences are ignored.",
    ),
]


def responds_async(prefer: Iterable[str] | None) -> bool:
    """Tell whether the client does not want to wait.

    Args:
        prefer: The header's values; each may name several preferences, with parameters.
    """
    named = (each for value in prefer or () for each in value.split(","))
    return any(each.partition(";")[0].strip().lower() == RESPOND_ASYNC for each in named)
