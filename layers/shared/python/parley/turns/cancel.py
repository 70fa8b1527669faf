"""Cancelling: a turn is taken over as recovery would, and ended instead of carried on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from parley.errors import Fenced, StoreMisconfigured, StoreRefused
from parley.events.fanout import FanOut
from parley.events.log import EventLog
from parley.events.writer import EventWriter
from parley.memory.store import AgentSessionStore
from parley.metrics import measure
from parley.observability import logger, paid
from parley.repository.cancel import request_cancel
from parley.repository.database import Database
from parley.repository.states import TurnStatus
from parley.repository.tool_calls import ToolCallRepository
from parley.repository.transcript import Transcript, TurnView
from parley.repository.turns import RunningTurn, TurnRepository
from parley.threads import in_thread_with_retry
from parley.turns.attempt import Attempt
from parley.turns.finalize import Finalizer, release
from parley.turns.wakeup import Waker, Watchdog, retry_seconds

CancelOutcome = Literal["cancelled", "already_cancelled", "too_late"]


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What came of cancelling a turn.

    Attributes:
        outcome: `cancelled` by this request, `already_cancelled` before it, or `too_late`: the turn
            has completed or failed.
        view: The turn as it ended.
    """

    outcome: CancelOutcome
    view: TurnView


@dataclass(frozen=True, slots=True)
class Canceller:
    """Cancels turns. The store is opened only for a turn that runs."""

    database: Database
    turns: TurnRepository
    transcript: Transcript
    tool_calls: ToolCallRepository
    open_store: Callable[[], AgentSessionStore]
    waker: Waker = field(default_factory=Waker)
    open_log: Callable[[], EventLog] | None = None

    async def cancel(self, user_id: str, session_id: UUID, turn_id: UUID) -> Cancellation:
        """Cancel a turn: one that waits at once, one that runs before its next step.

        From then on the attempt that ran can have no effect and record no answer. If this process
        dies, or a store fails it, who takes the turn over next cancels it.

        Raises:
            NotFound: There is no such turn in a session of this user's.
            StoreUnavailable: A store cannot serve now; cancelling again finishes the work.
        """
        held_as: int | None = None
        while True:
            asked = await in_thread_with_retry(
                request_cancel, self.database, user_id, session_id, turn_id
            )
            if asked.turn is None:
                view = await in_thread_with_retry(
                    self.transcript.turn, user_id, session_id, turn_id
                )
                # Ended at our attempt, it was us: the answer of the statement was lost.
                ours = asked.ended or view.turn.attempt == held_as
                break
            held_as = asked.turn.attempt
            try:
                view, ours = await self._end(asked.turn), True
                paid(agent=view.turn.agent, spent=view.turn.spent)
                break
            except Fenced:
                # Somebody else cancels as well, or the session was deleted. Not all at the same
                # moment, or they would go on taking the turn from each other.
                await asyncio.sleep(random.uniform(0.05, 0.3))
        outcome = _outcome(view.turn.status, ours=ours)
        logger().info(
            "cancelling", turn_id=str(turn_id), session_id=str(session_id), outcome=outcome
        )
        if outcome == "cancelled":
            # Its time and its model calls are counted by the attempt that is stopped.
            measure({"TurnsCancelled": 1}, agent=view.turn.agent)
        return Cancellation(outcome, view)

    async def _end(self, turn: RunningTurn) -> TurnView:
        watchdog = Watchdog(self.waker, turn.session_id, turn.user_id)
        watchdog.arm()
        try:
            store = self.open_store()
            attempt = Attempt(turn, self.database, self.turns, self.tool_calls, store)
            if self.open_log is not None:  # which is how an attempt that streams learns of it
                attempt.event_writer = EventWriter(
                    self.open_log(), FanOut(), attempt.lease, attempt.journal.records
                )
            finalizer = Finalizer(self.turns, self.transcript, self.waker)
            try:
                return await finalizer.cancel(attempt)
            except (StoreRefused, StoreMisconfigured, DBAPIError) as error:
                return await finalizer.give_up(attempt, error)
        except Fenced:
            raise
        except Exception:
            await release(self.turns, turn)
            delay = retry_seconds(turn.tries)
            await self.waker.wake(turn.session_id, user_id=turn.user_id, delay=delay)
            raise
        finally:
            await watchdog.settle()


def _outcome(status: TurnStatus, *, ours: bool) -> CancelOutcome:
    if status != "cancelled":
        return "too_late"
    return "cancelled" if ours else "already_cancelled"
