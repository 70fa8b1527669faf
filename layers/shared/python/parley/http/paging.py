"""The parameters of lists."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval
from aws_lambda_powertools.event_handler.openapi.params import Query

from parley.http.numbers import IN_DIGITS
from parley.repository.paging import MAX_LIMIT, fitting
from parley.repository.paging import decode as decode_cursor
from parley.repository.paging import encode as encode_cursor

__all__ = ["Cursor", "Limit", "decode_cursor", "encode_cursor", "fitting"]

Limit = Annotated[
    int, Interval(ge=1, le=MAX_LIMIT), IN_DIGITS, Query(description="How many at most.")
]
CURSOR = r"^[A-Za-z0-9_-]+$"
"""What a cursor is made of: base64, as addresses have it."""

Cursor = Annotated[
    str | None,
    Query(
        max_length=1000,
        pattern=CURSOR,
        description="Where the page starts: the last `next_cursor`.",
    ),
]
