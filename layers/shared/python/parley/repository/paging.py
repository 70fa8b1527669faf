"""Keyset paging: a cursor says after which row the next page starts."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from parley.errors import InvalidField

T = TypeVar("T")
K = TypeVar("K")

MAX_LIMIT = 100

PAGE_BYTES = 5_000_000
"""How large the texts of a page may be where an answer carries them: Lambda takes 6 MB, and what
stands around a hundred rows' texts is far below the rest."""

# Rows that are written together to see how large they are: by themselves they take longer.
_LOOKED_AT = 25

# What a cursor may hold: anybody can make one, and Postgres and Python take not just any value.
Number = Annotated[int, Field(ge=0, le=2**31 - 1)]
Moment = Annotated[
    AwareDatetime,
    Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(3000, 1, 1, tzinfo=UTC)),
]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list.

    Attributes:
        items: The rows in the order asked for; fewer than the limit, and none of a search's, also
            where others follow.
        next_cursor: Where the next page starts; None on the last.
    """

    items: Sequence[T]
    next_cursor: str | None


def fitting(rows: Sequence[T], limit: int, texts: Callable[[T], Iterable[object]]) -> int:
    """Return how many of the rows a page holds, from the first on: one at least, if there is one.

    Args:
        rows: What was read.
        limit: How many the page may hold.
        texts: Gives what can be large of a row: texts, and objects that are JSON.
    """
    shown = [[text for text in texts(row) if text is not None] for row in rows[:limit]]
    size = kept = 0
    while some := shown[kept : kept + _LOOKED_AT]:
        more = written_bytes(some)
        if size + more > PAGE_BYTES:
            break
        size, kept = size + more, kept + len(some)
    for each in some:  # not all of these
        size += written_bytes(each)
        if size > PAGE_BYTES and kept:
            break
        kept += 1
    return kept


def written_bytes(text: object) -> int:
    """Return the bytes that a text takes in a function's answer: JSON, in a string of JSON."""
    return len(to_json(to_json(text).decode()))


def encode(position: Sequence[Any]) -> str:
    """Make an opaque cursor of a row's place."""
    return urlsafe_b64encode(to_json(list(position))).decode().rstrip("=")


def decode(cursor: str, shape: TypeAdapter[K]) -> K:
    """Read a cursor.

    Args:
        cursor: What `encode` made.
        shape: The types of the place's parts.

    Raises:
        InvalidField: It is not a cursor of this list.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return shape.validate_json(urlsafe_b64decode(padded.encode("ascii")))
    except (ValueError, ValidationError) as error:
        raise InvalidField("cursor", "is not a cursor that this list gave") from error
