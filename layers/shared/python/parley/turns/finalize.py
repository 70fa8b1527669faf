"""How an attempt brings its turn to an end, in both stores: memory first, then Postgres."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy.exc import DBAPIError

from parley.errors import Fenced, StoreMisconfigured, StoreRefused, StoreUnavailable
from parley.memory.codec import Unreadable
from parley.memory.shape import assistant_message, user_message
from parley.memory.store import TurnMemory
from parley.observability import logger, traced
from parley.repository.cancel import CANCELLED
from parley.repository.transcript import Transcript, TurnView
from parley.repository.turns import (
    Completion,
    Ending,
    Known,
    RunningTurn,
    Stopped,
    TurnRepository,
    Usage,
)
from parley.repository.values import Message, Turn
from parley.threads import in_thread, in_thread_with_retry
from parley.turns.attempt import Attempt
from parley.turns.wakeup import Waker
from parley.usage.spent import Spent

REFUSED = "store_refused"
"""The error code of a turn whose stores would not take what it had to write."""

_REFUSALS = (StoreRefused, StoreMisconfigured, DBAPIError)
"""What a store will not do, or not until somebody mends it."""


@dataclass(frozen=True, slots=True)
class Finalizer:
    """Ends turns. Every method may raise `Fenced`, `StoreUnavailable` and `StoreRefused`."""

    turns: TurnRepository
    transcript: Transcript
    waker: Waker = field(default_factory=Waker)

    async def complete(self, attempt: Attempt, memory: TurnMemory) -> TurnView:
        """Complete a turn whose memory is done."""
        turn, usage, reply = attempt.turn, usage_of(memory), memory.reply or ""
        await _settled(attempt)
        completion = await attempt.lease.write(
            self.turns.complete,
            turn,
            reply,
            usage,
            attempt.journal.digest or None,
            attempt.window_from,
            attempt.spending.tokens,
            attempt.spending.cost,
        )
        if completion is None:
            raise Fenced(turn.number, turn.attempt)
        view = _completed(turn, reply, usage, completion)
        await self._ended(attempt, view, more=completion.more)
        return view

    async def stop(
        self,
        attempt: Attempt,
        status: Literal["failed", "cancelled"],
        code: str,
        detail: str,
        *,
        noted: bool = False,
    ) -> TurnView:
        """End a turn without a reply; if its tools had effects, leave a note of them.

        Without the note the agent would do it all again when it is asked again.

        The turn ends whatever the stores refuse, as long as Postgres takes the end itself. A note
        that memory does not take is taken from the transcript, which has the detail; that of
        what cannot be read is that it cannot.

        Args:
            attempt: Who holds the turn.
            status: How it ends.
            code: A word for programs.
            detail: A sentence for people.
            noted: Whether such a note is in memory already.
        """
        attempt.lease.mend()
        try:
            await _settled(attempt)  # before memory has the note, which ends the turn for others
        except _REFUSALS as error:
            _without("the end of a turn is not told in its log", error)
            attempt.lease.mend()
        detail, remembered = await self._with_effects(attempt, detail, noted=noted)
        stopped = await self._stopped(attempt, Ending(status, code, detail, remembered))
        if stopped is None:
            raise Fenced(attempt.turn.number, attempt.turn.attempt)
        turn = attempt.turn
        view = await in_thread_with_retry(
            self.transcript.turn, turn.user_id, turn.session_id, turn.id
        )
        await self._ended(attempt, view, more=stopped.more)
        if not remembered and attempt.journal.has_records:
            await self._discard(attempt)
        return view

    async def _discard(self, attempt: Attempt) -> None:
        """Drop the records of a turn that has ended: nobody goes on from them any more."""
        try:
            await attempt.journal.discard()
        except (StoreUnavailable, StoreRefused, StoreMisconfigured) as error:
            logger().warning("a turn's records are left to expire", reason=str(error))

    async def _with_effects(
        self, attempt: Attempt, detail: str, *, noted: bool
    ) -> tuple[str, bool]:
        """Return the detail with what was done, and whether the next turn is to know of it."""
        try:
            done = await attempt.effects.made()
        except _REFUSALS as error:
            _without("what a turn's tools did is not known", error)
            return f"{detail} What its tools had done before that cannot be read.", True
        if noted or not done:
            return detail, noted
        calls = "; ".join(f"{call.name}({call.arguments})" for call in done)
        detail = f"{detail} Already done before that, and not to be repeated: {calls}."
        note = [user_message(attempt.turn.text), assistant_message(detail)]
        if attempt.journal.holds_memory:
            try:
                usage = attempt.journal.usage
                left = TurnMemory(
                    note,
                    usage=usage.counts(),
                    tool_calls=len(done),
                    model_steps=[*usage.steps],
                    spent=[each.to_json() for each in usage.spent],
                )
                await attempt.journal.finish(left)
            except _REFUSALS as error:
                _without("a note of what was done is in the transcript only", error)
                attempt.lease.mend()
                # Vouched for, what stands there done would be taken for how the turn ended.
                return detail, not attempt.journal.finished
        return detail, True

    async def _stopped(self, attempt: Attempt, ending: Ending) -> Stopped | None:
        turn = attempt.turn
        try:
            return await attempt.lease.write(
                self.turns.stop,
                turn,
                ending,
                attempt.journal.usage,
                attempt.journal.digest or None,
                attempt.spending.tokens,
                attempt.spending.cost,
                calls_known=not any("/" in position for position in attempt.journal.records),
            )
        except (StoreRefused, StoreMisconfigured) as error:
            _without("a turn is ended without its usage", error)
            attempt.lease.mend()
            return await attempt.lease.write(self.turns.stop_barely, turn, ending)

    async def give_up(self, attempt: Attempt, error: Exception) -> TurnView:
        """End a turn whose stores will not take what it has to write."""
        logger().error("a turn was given up", code=REFUSED, **traced(error))
        if attempt.turn.cancel_requested:
            return await self.stop(attempt, "cancelled", CANCELLED, _CANCELLED)
        store = getattr(error, "store", "store")
        reason = getattr(error, "reason", type(error).__name__)
        detail = f"What the turn had to keep was refused by the {store} ({reason})."
        return await self.stop(attempt, "failed", REFUSED, detail)

    async def cancel(self, attempt: Attempt) -> TurnView:
        """Cancel a turn that was taken over for that, or complete it if an attempt had finished.

        The claim stops the attempt that ran before anything follows from what the model is saying
        to it. What its tools have done is read after the turn was taken over: a commit that was
        under way then is in, and no other comes.
        """
        try:
            left = await self._claim(attempt)
        except (StoreRefused, StoreMisconfigured) as error:
            # Postgres has stopped the attempt that ran, and vouches for nothing of the turn.
            _without("a turn is cancelled without its memory", error)
            left = None
        if left is not None and left.reply is not None and await self._stands(attempt, left):
            return await self.complete(attempt, left)
        return await self.stop(attempt, "cancelled", CANCELLED, _CANCELLED)

    async def _stands(self, attempt: Attempt, left: TurnMemory) -> bool:
        """Return whether Postgres still has what the reply tells of; restored, it may not."""
        if left.tool_calls > 0 and len(await attempt.journal.recorded()) < left.tool_calls:
            return False
        if left.decided:
            await attempt.read_decisions()
        return not attempt.journal.decided_otherwise(left)

    async def _ended(self, attempt: Attempt, view: TurnView, *, more: bool) -> None:
        """Tell who follows the turn, and have the one that waits behind it carried out."""
        if attempt.event_writer is not None:
            await attempt.event_writer.end(view)
        if more:
            await self.waker.wake(attempt.turn.session_id, user_id=attempt.turn.user_id)

    async def _claim(self, attempt: Attempt) -> TurnMemory | None:
        try:
            claimed = await attempt.journal.claim_memory()
        except Unreadable:
            return None  # it is claimed all the same, and nothing of it is needed
        attempt.journal.resume(claimed.records, {})  # for what the model calls came to
        left = claimed.done.memory if claimed.done is not None else None
        attempt.journal.finished = claimed.done is not None
        if left is not None:
            attempt.journal.usage = usage_of(left)
        return left


_CANCELLED = "The turn was cancelled."


def _without(what: str, error: Exception) -> None:
    logger().error(what, reason=getattr(error, "reason", ""), **traced(error))


async def _settled(attempt: Attempt) -> None:
    """Tell what has happened before the turn is over: its end is all that comes after it."""
    if attempt.event_writer is not None:
        await attempt.event_writer.settle(attempt.decisions.values())


def usage_of(left: TurnMemory) -> Usage:
    """Return what the model calls came to of a turn that has left its memory."""
    return Usage(
        left.usage.get("model_calls", 0),
        left.usage.get("input_tokens", 0),
        left.usage.get("output_tokens", 0),
        tuple(left.model_steps),
        tuple(Spent.from_json(each) for each in left.spent),
    )


async def release(
    turns: TurnRepository,
    turn: RunningTurn,
    *,
    crashed: bool = False,
    known: Known | None = None,
) -> bool:
    """Let the next attempt have the turn now; if Postgres does not do it, its lease runs out.

    Returns:
        Whether this attempt had it, and it is released.
    """
    try:
        return await in_thread(turns.release, turn, crashed=crashed, known=known)
    except (StoreUnavailable, DBAPIError) as error:
        logger().warning("a turn could not be released; its lease runs out", reason=str(error))
        return False


def _completed(turn: RunningTurn, reply: str, usage: Usage, completion: Completion) -> TurnView:
    """Make the view that reading the turn back would give, without the round trip."""
    return TurnView(
        Turn(
            id=turn.id,
            session_id=turn.session_id,
            user_id=turn.user_id,
            number=turn.number,
            status="completed",
            agent=turn.agent,
            attempt=turn.attempt,
            crashes=turn.crashes,
            spent=usage.in_all,
            created_at=turn.created_at,
            started_at=turn.started_at,
            ended_at=completion.ended_at,
            waiting_sequence=turn.waiting_sequence,
        ),
        Message(
            id=turn.message_id,
            turn_id=turn.id,
            role="user",
            content=turn.text,
            created_at=turn.created_at,
        ),
        Message(
            id=completion.message_id,
            turn_id=turn.id,
            role="assistant",
            content=reply,
            created_at=completion.created_at,
        ),
    )
