"""Attempts that were replaced, and wake up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from parley.errors import Fenced
from parley.events.log import FINAL
from parley.events.writer import EventWriter
from parley.ids import conversation_key, new_id
from parley.memory.shape import assistant_message, user_message
from parley.memory.store import TurnMemory
from parley.repository.approvals import Approval, of_turn
from parley.repository.tool_calls import Called, ToolCall
from parley.repository.turns import Ending, RunningTurn, Usage
from parley.turns.attempt import Attempt
from parley_testing.schedules.world import World

ENDS = ("turn.waiting", *FINAL)
"""What an attempt tells last."""

_MORE_THAN_ANY = 1000  # outputs of tools, which a turn of a schedule has recorded


class Zombies:
    """The attempts of a world that processes held, and that wake up when all has gone on."""

    def __init__(self, world: World, drained: set[UUID]) -> None:
        """Take the world, and the sessions to which nobody can write any more."""
        self._world, self._promises, self._drained = world, world.promises, drained
        self._wrote_late: list[RunningTurn] = []

    def late(self) -> list[RunningTurn]:
        """Return the attempts that may still write to memory though all is over, so far too late.

        First those at turns that the agent remembers by another attempt: they could be believed.
        """
        late = [
            turn
            for turn in self._world.held
            if turn not in self._wrote_late
            and self._outlived(turn)
            and self._world.claimed(turn) in (0, turn.attempt)
        ]
        seen = {turn.id: self._promises.seen.turn(turn.id) for turn in late}
        remembered = [each for each in late if (now := seen[each.id]) and now.remembered]
        return remembered or late

    def write_late(self, turn: RunningTurn) -> None:
        """Let such an attempt finish its memory, which nobody may believe.

        A Postgres that is restored to before the turn's end does by right believe what an attempt
        left, unless it tells of outputs that are lost. This reply is no attempt's, so it does.
        """
        self._wrote_late.append(turn)
        items = [user_message(turn.text), assistant_message("zombie")]
        note = TurnMemory(items, "zombie", tool_calls=_MORE_THAN_ANY)
        conversation = conversation_key(turn.user_id, turn.session_id)
        self._world.main.bench.store.finish(conversation, turn.key, turn.attempt, note)

    def _outlived(self, turn: RunningTurn) -> bool:
        seen = self._promises.seen.turn(turn.id)
        if seen is None:
            return turn.session_id not in self._drained
        return seen.over and seen.attempt > turn.attempt

    def replaced(self, turn: RunningTurn) -> bool:
        """Whether an attempt was replaced, or its turn stopped, paused or deleted."""
        seen = self._promises.seen.turn(turn.id)
        if seen is None or seen.attempt > turn.attempt:
            return True
        # Of one that waits, or waits to go on, the attempt that asked is over too.
        return seen.status in ("failed", "cancelled", "waiting", "queued")

    def tell(self, turn: RunningTurn) -> bool:
        """Let the event writer of an attempt that was replaced go on with its log.

        It is refused where another has told that it runs, or how the turn ended. Before that it may
        write, as an attempt does whose claim is on its way to somebody else.

        Returns:
            Whether it was late to tell that its turn waits.
        """
        known = [
            event_writer
            for lease, event_writer in self._world.writers.event_writers
            if (lease.turn.id, lease.turn.attempt) == (turn.id, turn.attempt)
            and lease.broken is None
        ]
        seen = self._promises.seen.turn(turn.id)
        if not known or seen is None or seen.status == "cancelled":
            # Who cancels tells it when it is done, and what ran may be told of until then: another
            # reader may then be given more of it than one for whom the end was made up.
            return False
        self._world.look_at_logs()
        told = self._world.logs.of(seen)
        over = any(
            event.type in FINAL or event.data.get("attempt", 0) > turn.attempt for event in told
        )
        event_writer = known[-1]
        last = next((event for event in told if event.sequence == event_writer._last), None)
        if not event_writer._last or (last is not None and last.type in ENDS):
            return False  # it has not told that it runs, or has told the end itself
        if asked := self._asked(turn):
            self._tell_that_it_waits(turn, event_writer, asked)
            return True
        # What is no text: a zombie says no more than its model did, and this one has none.
        event_writer.called(Called(f"call_{new_id()}", "roll", "{}"), None)
        try:
            self._world.main.run(event_writer.settle())
        except Fenced:
            return False
        assert not over, f"a zombie wrote behind {told[-1]}"
        return False

    def _asked(self, turn: RunningTurn) -> list[Approval]:
        """Return what an attempt has asked for, if it is the one that let its turn wait."""
        rows = self._world.sql.execute(
            "SELECT id FROM approvals WHERE turn_id = %s AND attempt = %s", (turn.id, turn.attempt)
        )
        ids = {row[0] for row in rows}
        asked = of_turn(self._world.main.bench.database, turn.user_id, turn.id) if ids else []
        return [replace(each, status="open") for each in asked if each.id in ids]

    def _tell_that_it_waits(
        self, turn: RunningTurn, event_writer: EventWriter, asked: list[Approval]
    ) -> None:
        """Let the log of a turn that waits, or waited, be told so by who had died before that.

        It has its place, unless it has been made good there.
        """
        main = self._world.main
        view = main.bench.transcript.turn(turn.user_id, turn.session_id, turn.id)
        waits = replace(
            view.turn,
            status="waiting",
            attempt=turn.attempt + 1,
            ended_at=None,
            waiting_for="decisions",
            waiting_sequence=event_writer._last + 1,
        )
        told = replace(view, turn=waits, reply=None, approvals=tuple(asked))
        main.run(event_writer.pause(told))

    def wake(self, turn: RunningTurn) -> None:
        """Let an attempt that was replaced try everything; it must be refused.

        Memory refuses it from the claim of a later attempt on. Before that, and where the session
        is gone, nobody believes what it writes there.
        """
        store_too = self._world.claimed(turn) > turn.attempt
        process = self._world.main
        bench = process.bench
        attempt = Attempt(turn, process.database, bench.turns, bench.tool_calls, bench.store)
        called = Called("call_zombie", "add_task", "{}")

        def effect(given: object) -> str:
            given.db.exec_driver_sql(  # type: ignore[attr-defined]
                "INSERT INTO tasks (id, user_id, title) VALUES (gen_random_uuid(), %s, 'zombie')",
                (self._world.user,),
            )
            return "done"

        def refused(write: Callable[[], object]) -> None:
            with pytest.raises(Fenced):
                write()

        refused(lambda: process.run(attempt.effects.in_transaction(called, effect, changes=True)))
        refused(lambda: bench.tool_calls.record(turn, ToolCall(*called, "done", effect=False)))
        assert bench.turns.complete(turn, "zombie", Usage(), None) is None
        ending = Ending("failed", "zombie", "zombie", remembered=True)
        assert not bench.turns.stop(turn, ending, Usage(), None)
        assert not bench.turns.renew(turn)
        assert not bench.turns.release(turn)
        if store_too:
            where = attempt.journal.conversation, turn.key, turn.attempt
            refused(lambda: bench.store.record(*where, "0", {"output": []}))
            refused(lambda: bench.store.finish(*where, TurnMemory([], "zombie")))
            refused(lambda: bench.store.claim(*where))
