"""Turns that are streamed, and a user's client that reads one while processes come and go."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx

from parley.ids import TurnKey, conversation_key
from parley_client import Parley
from parley_client.call import Events
from parley_client.endpoints.streams import follow_turn, stream_message
from parley_client.events import MessageCompleted, MessageDelta, MessageReset, TurnEvent
from parley_testing.account.wake_queue import ReceivedWakeups
from parley_testing.scenarios.fork_server import Child
from parley_testing.scenarios.setup import Point, ScenarioRun, Setup
from parley_testing.waiting import HANG_SECONDS

TUNED = {
    "parley.events.writer.GATHER_SECONDS": 0.0,
    "parley.events.writer.LOOK_SECONDS": 0.1,
    "parley.events.reader.QUIET_SECONDS": 0.1,
    "parley.events.reader.ASK_SECONDS": 0.1,
}
"""Each piece is written by itself, and nobody waits long for those who are dead."""


class Theatre:
    """Where one scenario is played as a stream, by the deployment's own functions."""

    def __init__(self, setup: Setup, queue: ReceivedWakeups) -> None:
        self.setup = setup
        self._queue = queue

    @contextmanager
    def serving(
        self,
        played: ScenarioRun,
        at: Point | None = None,
        by: signal.Signals = signal.SIGKILL,
        *,
        tuned: Mapping[str, float] | None = None,
    ) -> Iterator[Child]:
        """Have a streaming process until the end of the block; it may end itself at a point."""
        child = self._fork(played, at, by, function="stream", tuned={**TUNED, **(tuned or {})})
        try:
            yield child
        finally:
            child.kill()
            child.wait()

    def work(self, played: ScenarioRun) -> Child:
        """Have a worker answer a wake-up."""
        event = {"Records": [self._queue.record(str(played.session_id))]}
        return self._fork(
            played, function="worker", events=[event], seconds=HANG_SECONDS, tuned=TUNED
        )

    def last_event(self, played: ScenarioRun) -> str | None:
        """Return the type of the last event that stands in the first turn's log."""
        assert self.setup.events is not None
        page = played.parts.transcript.turns(
            played.user, played.session_id, status=None, limit=100, cursor=None
        )
        first = page.items[-1]
        conversation = conversation_key(played.user, played.session_id)
        events = self.setup.events.read(conversation, TurnKey(first.number, first.id))
        return events[-1].type if events else None

    def _fork(self, played: ScenarioRun, *end: Any, **job: Any) -> Child:
        return played.fork(*end, settings=self._queue.settings, **job)


class Front(httpx.BaseTransport):
    """Stands where API Gateway and the adapter do: hands each request on to a process.

    Attributes:
        child: To which.
    """

    def __init__(self, user: str, child: Child) -> None:
        self.child = child
        self._user = user
        self._wire = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="127.0.0.1", port=self.child.port)
        authorizer = {"user_id": self._user, "scopes": "", "exp": str(int(time.time()) + 3600)}
        request.headers["x-amzn-request-context"] = json.dumps(
            {"requestId": str(uuid4()), "stage": "v1", "authorizer": authorizer}
        )
        return self._wire.handle_request(request)

    def close(self) -> None:
        self._wire.close()


class Reader:
    """Reads one turn, from one process and, when that is lost, from others.

    Attributes:
        events: What it was told so far.
        losses: How often it lost its process.
    """

    def __init__(
        self,
        user: str,
        child: Child,
        *,
        heard: Callable[[int], object] = lambda _: None,
        lost: Callable[[], Child] | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            user: Whose client it is.
            child: The process to ask.
            heard: Is called after each event with the number of those told so far.
            lost: Is called when the process is lost, which else is an error; gives the one to ask
                from then on.
        """
        self.events: list[TurnEvent] = []
        self.losses = 0
        self._user, self._child = user, child
        self._heard, self._lost = heard, lost

    def send(self, session_id: UUID, text: str, key: str) -> list[TurnEvent]:
        """Send a message and read its turn to the end."""
        return self._read(stream_message(session_id, text, idempotency_key=key))

    def follow(self, session_id: UUID, turn_id: UUID, *, after: int = 0) -> list[TurnEvent]:
        """Read a turn to the end."""
        return self._read(follow_turn(session_id, turn_id, after=after))

    def _read(self, events: Events) -> list[TurnEvent]:
        front = Front(self._user, self._child)

        def wait(seconds: float) -> None:
            self.losses += 1
            assert self._lost is not None, "the process was lost"
            front.child = self._lost()

        with Parley("http://front.test", "token", transport=front, sleep=wait) as client:
            for event in client.follow(events):
                self.events.append(event)
                self._heard(len(self.events))
        return self.events


def written(events: Sequence[TurnEvent]) -> list[str]:
    """Return the messages as a reader sees them in the end, by what was told piece by piece.

    Raises:
        AssertionError: What was told of a message is not how it begins.
    """
    messages: list[str] = []
    pieces: dict[int, str] = {}
    for event in events:
        match event:
            case MessageDelta():
                pieces[event.step] = pieces.get(event.step, "") + event.text
            case MessageReset():
                pieces[event.step] = ""
            case MessageCompleted():
                # The reply's step is not told; it is the one that is still open.
                step = event.step if event.step is not None else max(pieces, default=0)
                told = pieces.pop(step, "")
                assert event.text is not None
                assert event.text.startswith(told), (told, event.text)
                messages.append(event.text)
    return messages


def shown(events: Sequence[TurnEvent]) -> list[dict[str, Any]]:
    """Return all that was told."""
    return [event.model_dump(mode="json") for event in events]
