"""Reading a turn's events to their end, over as many connections as it takes.

Nothing here sends or waits, so that the sync and the async client share it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import httpx

from parley_client.call import Call, Events, below, opened
from parley_client.errors import UnexpectedAnswer
from parley_client.events import TurnEvent, TurnStarted, TurnWaiting, read_event
from parley_client.exchange import result
from parley_client.retry import Outcome, Try, tries
from parley_client.sse import Frame, Parser

# What servers ask for that ask for nothing, and the most that is done for one that does.
_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 60.0


class Following:
    """Where a reader stands: what it asks next, and which event it has not had yet.

    A stream that breaks is asked for again from the last event on, or where none came, with the
    message that began the turn. What may still be tried is
    counted from the last sign that the server is at it, which is an event or a comment: a turn
    that waits behind others has none to tell of for a long time.

    Attributes:
        call: What to send.
        wait: For how many seconds to wait before.
        over: Whether the last event was the turn's last, or the turn waits for a decision.
    """

    def __init__(
        self, url: str, events: Events, *, patience: float, clock: Callable[[], float]
    ) -> None:
        """Begin.

        Args:
            url: The API's address, for errors.
            events: Which events.
            patience: Seconds without a sign of the server after which it is given up.
            clock: Says the time in seconds.
        """
        self.call = self._first = events.first
        self.over = False
        self._url = url
        self._session_id = events.session_id
        self._turn_id = events.turn_id
        self._last = events.after
        self._patience = patience
        self._clock = clock
        self._retry_seconds: float | None = None
        self._parser = Parser()
        self._advanced = False
        self._waits = False
        self._policy = self._tries(reached=False)
        self.wait = next(self._policy).wait

    def take(self, chunk: bytes) -> Iterator[TurnEvent]:
        """Yield the events that are whole with these bytes of the stream: each once, in order.

        Raises:
            httpx.RemoteProtocolError: An event is missing; the stream is `lost`.
            UnexpectedAnswer: These are no events of this turn.
        """
        frames = self._parser.feed(chunk)
        while (event := self._read(frames)) is not None:
            if event.sequence <= self._last:
                continue  # it was given before
            if event.sequence > self._last + 1 and event.type != "events.lost":
                raise httpx.RemoteProtocolError(
                    f"event {event.sequence} came after event {self._last}"
                )
            self._last = event.sequence
            self._advanced = True
            self._turn_id = event.turn_id
            if isinstance(event, TurnStarted):
                self._session_id = event.session_id
            self._waits = isinstance(event, TurnWaiting)
            self.over = event.final
            yield event
            if self.over:
                return

    def lost(self, error: httpx.HTTPError | None) -> None:
        """Take note that the stream ended, or did not come, and say what to try next.

        Raises:
            Unreachable: It came to nothing too often.
        """
        if self._waits and error is None:  # for somebody, who may take days
            self.over = True
            return
        if self._parser.retry_seconds is not None:
            self._retry_seconds = min(self._parser.retry_seconds, _LONGEST_RETRY_SECONDS)
        if self._advanced or self._parser.comments:
            self.call = self._go_on()
            self._policy = self._tries(reached=True)
            next(self._policy)
            wait = _RETRY_SECONDS if self._retry_seconds is None else self._retry_seconds
        else:
            error = error or httpx.RemoteProtocolError("the stream ended before the turn")
            wait = max(self._policy.send(error).wait, self._retry_seconds or 0.0)
        self._begin_again(wait)

    def refused(self, response: httpx.Response) -> None:
        """Take note of an answer that is no stream, which has been read.

        Raises:
            ApiError: The API refused, and would do so again.
            UnexpectedAnswer: It is not what Parley answers.
        """
        if response.status_code == 204:  # by the standard: there is no more to come
            self.over = True
            return
        try:
            self._begin_again(self._policy.send(response).wait)
        except StopIteration as last:
            result(self._url, self.call, last.value)

    def _read(self, frames: Iterator[Frame]) -> TurnEvent | None:
        try:
            frame = next(frames, None)
            if frame is None:
                return None
            event = read_event(frame)
            if self._turn_id not in (None, event.turn_id):
                raise ValueError(f"the event is of turn {event.turn_id}")
        except (ValueError, RecursionError) as error:
            raise UnexpectedAnswer(self._url, 200) from error
        return event

    def _begin_again(self, wait: float) -> None:
        self.wait = wait
        self._parser = Parser()
        self._advanced = False

    def _tries(self, *, reached: bool) -> Generator[Try, Outcome, httpx.Response]:
        return tries(
            self.call, self._url, patience=self._patience, clock=self._clock, reached=reached
        )

    def _go_on(self) -> Call[None]:
        if self._session_id is None or self._turn_id is None:
            # Which turn it is came with no event yet: the same key finds it.
            return self._first
        if self._first.key is not None and not self._advanced:
            # Perhaps whoever had the turn died unnoticed: the same key also carries it on.
            return self._first
        return Call(
            "GET",
            below(below("/sessions", self._session_id, "turns"), self._turn_id, "events"),
            opened,
            headers={"Accept": "text/event-stream", "Last-Event-ID": str(self._last)},
        )
