"""What a route of the `stream` function returns: a turn to be made or followed, and how it is told.

The resolver validates what such a route takes, and writes it into the OpenAPI document, as of any
other route.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from parley.events.log import TurnEvent
from parley.repository.approvals import Approval
from parley.repository.transcript import TurnView
from parley.repository.turns import TurnRequest
from parley.turns.answers import Answers

Events = AsyncGenerator[TurnEvent | None, None]
"""A turn's events, as the `Follower` yields them: None where nothing has happened for a while."""


Look = Callable[[], Awaitable[TurnView]]
"""Looks at a turn as it is now."""


Beside = Callable[[UUID, Callable[[], Awaitable[str]]], Awaitable[TurnRequest | None]]
"""Gives the request of a message beside answers, by the id of the turn that is answered and by what
gives the text of the message that it answers."""


@dataclass(frozen=True, slots=True)
class Told:
    """A turn that is to be told.

    Attributes:
        view: The turn, as it was when it was asked for.
        events: What happens in it. Whoever tells them closes them.
        look: Looks at it again.
        replayed: Whether an earlier request of the same key had made it.
        answered: What its reader has answered: what came before is told to them already.
        then: Gives the turn that is told when this one has ended, to the same reader.
    """

    view: TurnView
    events: Events
    look: Look
    replayed: bool = False
    answered: Sequence[Approval] = ()
    then: Callable[[], Awaitable[Told]] | None = None


class Wire(Protocol):
    """How a turn is told to one reader."""

    @property
    def whole(self) -> bool:
        """Whether it is told from its start to its end: readers cannot come back for the rest."""
        ...

    @property
    def farewell(self) -> bytes:
        """What a reader is told last whose stream is cut off by the end of this process."""
        ...

    def headers(self, view: TurnView, *, replayed: bool) -> Mapping[str, str]:
        """Return the response's headers.

        Args:
            view: The turn, as it is now.
            replayed: Whether an earlier request of the same key had made it.
        """
        ...

    def parts(self, told: Told) -> AsyncGenerator[bytes, None]:
        """Yield the response's body, from its first byte to its last; it closes the events."""
        ...


@dataclass(frozen=True, slots=True)
class Sending:
    """A message whose turn is to be told.

    Attributes:
        request: The turn wanted.
        enqueue: Whether to wait behind a turn that runs.
        wire: How it is told.
    """

    request: TurnRequest
    enqueue: bool
    wire: Wire


@dataclass(frozen=True, slots=True)
class Following:
    """A turn that is to be told from its events after a sequence number on."""

    user_id: str
    session_id: UUID
    turn_id: UUID
    after: int
    wire: Wire


@dataclass(frozen=True, slots=True)
class Resuming:
    """The open turn of a session that is known by the key that made it, or by its id.

    Attributes:
        key: The session's idempotency key.
        session_id: Its id, if it may be that.
        agent: Whose it must be to be known by its id; None if any will do.
        otherwise: The whole body if no turn waits for somebody; None if any open turn is told, and
            where there is none nothing is.
    """

    user_id: str
    key: str
    session_id: UUID | None
    wire: Wire
    agent: str | None = None
    otherwise: str | None = None


@dataclass(frozen=True, slots=True)
class Answering:
    """Answers to what a turn has asked for, and the rest of it that is to be told then.

    Attributes:
        beside: Gives the message that came with the answers, if it is not the one which that turn
            answers; its turn waits behind that one, and is told after it.
    """

    answers: Answers
    wire: Wire
    beside: Beside | None = None


Wanted = Sending | Following | Resuming | Answering | str
"""What a route returns; a text is the whole body, where there is no turn to tell of."""

AnyRoute = TypeVar("AnyRoute", bound=Callable[..., Wanted])


MEDIA_TYPE = "text/event-stream; charset=utf-8"


class StreamRouter(Router):
    """A router of routes that return what is to be told.

    The resolver would write what a route returns as JSON; it is handed on as it is instead, as the
    body of the answer.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # theirs has no types

    def route(self, *rule: Any, **described: Any) -> Callable[[AnyRoute], AnyRoute]:
        """Return a decorator that adds a route and leaves the function as it is."""
        add = super().route(*rule, **described)

        def added(route: AnyRoute) -> AnyRoute:
            add(_answering(route))
            return route

        return added


def _answering(route: Callable[..., Wanted]) -> Callable[..., Response[Any]]:
    def answered(**taken: Any) -> Response[Any]:
        return Response(
            status_code=200,
            content_type=MEDIA_TYPE,
            body=route(**taken),
            headers={"X-Accel-Buffering": "no"},
        )

    # What it takes is read from the route; of what it returns nothing is validated or written.
    taken_as = inspect.signature(route, eval_str=True)
    signature = taken_as.replace(return_annotation=inspect.Signature.empty)
    answered.__name__, answered.__doc__ = route.__name__, route.__doc__
    vars(answered)["__signature__"] = signature
    answered.__annotations__ = {
        each.name: each.annotation for each in signature.parameters.values()
    }
    return answered
