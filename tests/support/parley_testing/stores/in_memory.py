"""Both stores in memory, for one turn: what a unit test of `turns/` or `runner/` writes to.

Each keeps what it is given, and raises `fault` instead as long as there is one. The real ones are
tested by themselves, and turns on them in `tests/integration/turns`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from parley.errors import Fenced
from parley.ids import TurnKey
from parley.memory.codec import Unreadable
from parley.memory.store import ClaimedTurn, StoredTurn, TurnMemory
from parley.repository.tool_calls import ToolCall
from parley.repository.transcript import TurnView
from parley.repository.turns import Completion, Ending, Known, Renewed, RunningTurn, Stopped, Usage
from parley.repository.values import Message, Turn
from parley.turns.attempt import Attempt
from parley.turns.wakeup import Waker
from parley.usage.spent import Spent

AT = datetime(2026, 1, 1, tzinfo=UTC)

FIRST_ATTEMPT = RunningTurn(
    id=UUID(int=2),
    session_id=UUID(int=1),
    user_id="alice",
    number=1,
    attempt=1,
    crashes=0,
    agent="todo",
    message_id=UUID(int=3),
    text="hello",
    created_at=AT,
    started_at=AT,
    remembered=(),
)
SECOND_ATTEMPT = replace(FIRST_ATTEMPT, attempt=2)


class Turns:
    """The turn in Postgres, as the transcript has it too.

    Attributes:
        held: Whether the attempt that asks still has it.
        done: What has been done to it, in order.
        more: Whether another turn waits behind it.
        refuses_usage: Whether an end is refused that has more than the turn's row to write.
    """

    def __init__(self) -> None:
        self.held = True
        self.done: list[str] = []
        self.fault: Exception | None = None
        self.more = False
        self.refuses_usage: Exception | None = None
        self.ending: Ending | None = None
        self.window_from: int | None = None
        self.view: TurnView | None = None

    def renew(self, turn: RunningTurn) -> Renewed | None:
        self._take("renew")
        return Renewed() if self.held else None

    def fence(self, turn: RunningTurn) -> RunningTurn | None:
        self._take("fence")
        return replace(turn, attempt=turn.attempt + 1) if self.held else None

    def release(
        self, turn: RunningTurn, *, crashed: bool = False, known: Known | None = None
    ) -> bool:
        self._take("release, crashed" if crashed else "release")
        return self.held

    def complete(
        self,
        turn: RunningTurn,
        reply: str,
        usage: Usage,
        digest: str | None,
        window_from: int | None = None,
        spent: int = 0,
        spent_cost: int = 0,
    ) -> Completion | None:
        self._take("complete")
        self.window_from = window_from
        return Completion(UUID(int=4), AT, AT, self.more) if self.held else None

    def stop(
        self,
        turn: RunningTurn,
        ending: Ending,
        usage: Usage,
        digest: str | None,
        spent: int = 0,
        spent_cost: int = 0,
        *,
        calls_known: bool = False,
    ) -> Stopped | None:
        if self.refuses_usage is not None:
            raise self.refuses_usage
        return self._stop("stop", turn, ending)

    def stop_barely(self, turn: RunningTurn, ending: Ending) -> Stopped | None:
        return self._stop("stop barely", turn, ending)

    def turn(self, user_id: str, session_id: UUID, turn_id: UUID) -> TurnView:
        """Read the turn, in the transcript's place."""
        assert self.view is not None
        return self.view

    def _stop(self, how: str, turn: RunningTurn, ending: Ending) -> Stopped | None:
        self._take(how)
        if not self.held:
            return None
        self.ending, self.view = ending, view_of(turn, ending.status)
        return Stopped(self.more)

    def _take(self, what: str) -> None:
        self.done.append(what)
        if self.fault is not None:
            raise self.fault


class Memory:
    """The turn's item in the agent-session store."""

    def __init__(self, *, attempt: int = 1) -> None:
        self.attempt = attempt
        self.records: dict[str, dict[str, Any]] = {}
        self.finished: TurnMemory | None = None
        self.done: list[str] = []
        self.fault: Exception | None = None
        self.unreadable = False
        self.newest: list[StoredTurn] = []

    def read_newest(self, conversation: str, turns: int, *, max_bytes: int) -> list[StoredTurn]:
        self._take("read newest")
        return self.newest[:turns]

    def claim(self, conversation: str, turn: TurnKey, attempt: int) -> ClaimedTurn:
        self._take("claim")
        if attempt < self.attempt:
            raise Fenced(turn.number, attempt)
        self.attempt = attempt
        if self.unreadable:
            raise Unreadable("damaged")
        done = None if self.finished is None else StoredTurn(turn, attempt, self.finished)
        return ClaimedTurn(done, {} if done else dict(self.records))

    def record(
        self, conversation: str, turn: TurnKey, attempt: int, position: str, record: dict[str, Any]
    ) -> None:
        self._take(f"record {position}")
        if attempt != self.attempt or self.finished is not None:
            raise Fenced(turn.number, attempt)
        self.records[position] = record

    def finish(self, conversation: str, turn: TurnKey, attempt: int, memory: TurnMemory) -> None:
        self._take("finish")
        if attempt != self.attempt:
            raise Fenced(turn.number, attempt)
        self.finished = memory

    def discard(self, conversation: str, turn: TurnKey, attempt: int) -> None:
        self._take("discard")
        self.records.clear()

    def write_back(self, conversation: str, turns: Sequence[StoredTurn]) -> None:
        self._take("write back")

    def forget_before(self, conversation: str, number: int) -> None:
        self._take(f"forget before {number}")

    def _take(self, what: str) -> None:
        self.done.append(what)
        if self.fault is not None:
            raise self.fault


class ToolCalls:
    """The turn's tool calls in Postgres."""

    def __init__(self, *calls: ToolCall) -> None:
        self.calls = {call.call_id: call for call in calls}
        self.fault: Exception | None = None

    def of_turn(self, turn: RunningTurn) -> Mapping[str, ToolCall]:
        if self.fault is not None:
            raise self.fault
        return dict(self.calls)

    def record(self, turn: RunningTurn, call: ToolCall) -> None:
        if self.fault is not None:
            raise self.fault
        self.calls.setdefault(call.call_id, call)


class Queue:
    """The wake queue: keeps for how long each wake-up is put off."""

    def __init__(self) -> None:
        self.delays: list[int] = []
        self.fault: Exception | None = None

    def wake(self, session_id: UUID, *, delay: int = 0, user_id: str | None = None) -> None:
        if self.fault is not None:
            raise self.fault
        self.delays.append(delay)


class Stores:
    """All that an attempt writes to, and what it is to find there."""

    def __init__(self, *calls: ToolCall) -> None:
        self.turns = Turns()
        self.memory = Memory()
        self.tool_calls = ToolCalls(*calls)
        self.queue = Queue()
        self.waker = Waker(self.queue)

    def attempt(self, turn: RunningTurn = FIRST_ATTEMPT) -> Attempt:
        """Return an attempt at a turn; its database is for none but tools with an effect."""
        parts: dict[str, Any] = {
            "turns": self.turns,
            "tool_calls": self.tool_calls,
            "store": self.memory,
            "waker": self.waker,
        }
        return Attempt(turn, cast(Any, None), **parts)


def view_of(turn: RunningTurn, status: Any, reply: str | None = None) -> TurnView:
    """Return what a reader of a turn that has ended is told of it."""
    ended = Turn(
        id=turn.id, session_id=turn.session_id, user_id=turn.user_id, number=turn.number,
        status=status, attempt=turn.attempt, crashes=turn.crashes, agent=turn.agent,
        spent=Spent(), created_at=AT, started_at=AT, ended_at=AT,
    )  # fmt: skip
    said = Message(
        id=turn.message_id, turn_id=turn.id, role="user", content=turn.text, created_at=AT
    )
    answer = None
    if reply is not None:
        answer = Message(
            id=UUID(int=4), turn_id=turn.id, role="assistant", content=reply, created_at=AT
        )
    return TurnView(ended, said, answer)
