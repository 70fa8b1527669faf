"""One request as a value: what it asks for, how its answer is read, and whether it may be repeated.

Nothing here touches the network, so that the sync and the async client share it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
from pydantic import BaseModel, ConfigDict

from parley_client.errors import NotSendable

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


_KEY = re.compile(r"[!-~]{1,255}")


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""Says that a field is left as it is, where None would take its value away."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and how its answer is read.

    Attributes:
        method: The HTTP method.
        path: Below the API's address, quoted.
        read: Makes the result of a response of success.
        query: Parameters; those that are None are not sent.
        headers: What is sent beside the token and the key.
        body: Sent as JSON.
        key: The Idempotency-Key: one for all tries.
        repeatable: Whether doing it twice is as doing it once, so that it may be sent again when
            nobody knows whether it arrived.
        waits: Whether a 202 is no answer yet: what was asked for waits for others, and the same
            request, sent again, asks how far it is.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    key: str | None = None
    repeatable: bool = True
    waits: bool = False


class Page(BaseModel, Generic[T]):
    """A part of a list; `next_cursor` is null on the last one."""

    model_config = ConfigDict(frozen=True)

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class Series(Generic[T]):
    """A list that comes in pages: `page` gives the call for that at a cursor; None is the start."""

    page: Callable[[str | None], Call[Page[T]]]


@dataclass(frozen=True)
class Events:
    """A turn's events: the call that begins to give them, and where they go on.

    Attributes:
        first: Asks for the stream.
        session_id: The session, where it is known before the first event.
        turn_id: The turn, likewise.
        after: The sequence number of the last event that is not asked for.
    """

    first: Call[None]
    session_id: UUID | None = None
    turn_id: UUID | None = None
    after: int = 0


def shown_as(model: type[M]) -> Callable[[httpx.Response], M]:
    """Read an answer as a model."""
    return lambda response: model.model_validate_json(response.content)


def nothing(response: httpx.Response) -> None:
    """Read an answer that has no body."""


def is_event_stream(response: httpx.Response) -> bool:
    """Return whether the answer is a stream of server-sent events."""
    kind: str = response.headers.get("Content-Type", "")
    return response.is_success and kind.partition(";")[0].strip().lower() == "text/event-stream"


def opened(response: httpx.Response) -> None:
    """Read the beginning of an event stream.

    Raises:
        ValueError: It is none.
    """
    if not is_event_stream(response):
        raise ValueError("the answer is no event stream")


def below(prefix: str, part: UUID | str, *suffix: str) -> str:
    """Make a path below an id.

    Raises:
        NotSendable: It is no id.
    """
    try:
        return "/".join([prefix, str(UUID(str(part))), *suffix])
    except ValueError as error:
        raise NotSendable(f"{str(part)!r} is not an id") from error


def below_name(prefix: str, name: str, *suffix: str) -> str:
    """Make a path below a name that may hold anything.

    Raises:
        NotSendable: A path cannot lead there.
    """
    # Dots are not quoted, and would lead elsewhere.
    if name in ("", ".", ".."):
        raise NotSendable(f"{name!r} cannot be sent as a name")
    try:
        return "/".join([prefix, quote(name, safe=""), *suffix])
    except UnicodeEncodeError as error:
        raise NotSendable(f"{name!r} is not UTF-8 text") from error


def given(**fields: Any) -> dict[str, Any]:
    """Keep the fields that are set."""
    return {name: value for name, value in fields.items() if value is not UNSET}


def present(**fields: Any) -> dict[str, Any]:
    """Keep the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def key_or_new(key: str | None) -> str:
    """Return the caller's Idempotency-Key, or make one.

    Raises:
        NotSendable: It is none.
    """
    if key is None:
        return str(uuid4())
    if not _KEY.fullmatch(key):
        raise NotSendable("An Idempotency-Key is 1 to 255 printable ASCII characters, no spaces.")
    return key
