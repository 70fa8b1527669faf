"""What users, processes and schedules do, and what may come of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from math import inf
from uuid import UUID

import pytest

from parley.errors import (
    AlreadyDecided,
    IdempotencyKeyReused,
    NotFound,
    QueueFull,
    SessionNotActive,
    StoreUnavailable,
    TurnFailed,
    TurnInProgress,
    TurnUnfinished,
    TurnWaiting,
)
from parley.ids import new_id
from parley.repository.approvals import Decision
from parley.repository.turns import NewSession, RunningTurn, TurnRequest
from parley.turns.send import QueuedTurn
from parley_testing.schedules import plans
from parley_testing.schedules.faults import NOTHING, Course, ProcessDied
from parley_testing.schedules.promises import MOST_WAITING
from parley_testing.schedules.seen import SeenApproval, SeenTurn
from parley_testing.schedules.world import Process, World
from parley_testing.workbench import request


class Actions:
    """Does things as a user's world lets them be done, and sees to what comes of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.promises = world.promises
        self.messages: dict[str, TurnRequest] = {}
        self.drained: set[UUID] = set()
        self._requests: dict[str, TurnRequest] = {}
        self._texts = 0

    def new_session(self) -> UUID:
        """Make a session."""
        session_id = self.world.other.bench.new_session(self.world.user)
        self.promises.made.add(session_id)
        return session_id

    def new_text(self, plan: str) -> str:
        """Make a text that nobody sent before."""
        self._texts += 1
        return f"m{self._texts} {plan}".strip()

    def message(self, session_id: UUID | None, plan: str, *, keyed: bool) -> TurnRequest:
        """Write a message to a session, or one that opens a session if there is none."""
        text = self.new_text(plan)
        self.promises.sent[text] = session_id
        key = f"key of {text}" if keyed else None
        opens = NewSession("todo", None, "api", {}) if session_id is None else None
        sent = request(session_id or new_id(), text, user=self.world.user, key=key, opens=opens)
        self._requests[text] = sent
        if key is not None:
            self.messages[key] = sent
        return sent

    def again(self, sent: TurnRequest) -> TurnRequest:
        """Write a message once more, as a client does that got no answer."""
        session_id = sent.session_id if sent.opens is None else new_id()
        return replace(sent, session_id=session_id, turn_id=new_id(), message_id=new_id())

    def send(
        self,
        process: Process,
        sent: TurnRequest,
        *,
        course: Course = NOTHING,
        faulty: bool = False,
        seconds: float = 30,
        enqueue: bool = False,
    ) -> str:
        """Send a message and judge what comes of it.

        Args:
            process: Who is asked.
            sent: The message.
            course: What happens to the process.
            faulty: Whether a store fails it.
            seconds: How long the invocation can wait.
            enqueue: Whether it waits behind others.

        Returns:
            A word for what came of it.
        """
        promises = self.promises
        earlier = self.earlier(sent)
        session_id = sent.session_id if earlier is None else earlier.session_id
        session = promises.seen.sessions.get(session_id)
        patience = inf
        if session is not None and session.open:
            if any(name == "pay" for name, _ in plans.all_recorded(session.open[0].text)):
                patience = 0.3  # it may come to ask, and nobody decides meanwhile
            running = session.running
            waits = session.idle or session.asks is not None
            if waits or (running is not None and not running.expired):
                seconds = min(seconds, 0.05)
            elif len(session.open) > 1:
                seconds = min(seconds, 0.3)  # what died is finished, and then there is one to wait
        asked_before = sum(promises.asked.values())
        try:
            answer = process.run(
                process.sender.send(sent, seconds=seconds, patience=patience, enqueue=enqueue)
            )
        except (ProcessDied, asyncio.CancelledError):
            assert course.dead, "a process ended without having died"
            return "died"
        except Exception as error:
            if course.dead:
                return "died"
            self.world.look()
            alone = not course.thawed and not faulty
            self.refused(sent, error, faulty=faulty, thawed=course.thawed)
            if alone and isinstance(error, TurnFailed) and earlier is not None and earlier.over:
                assert sum(promises.asked.values()) == asked_before, "a replay asked the model"
            return type(error).__name__
        if course.dead:
            return "died"
        self.world.look()
        if isinstance(answer, QueuedTurn):
            waiting = answer.view.turn
            self._unfinished(sent, waiting.id, waiting.session_id, thawed=course.thawed)
            return "paused" if waiting.status == "waiting" else "left waiting"
        turn = promises.seen.turn(answer.view.turn.id)
        assert answer.view.reply is not None
        if turn is not None:  # else deleted meanwhile
            assert (turn.status, turn.text) == ("completed", sent.text), f"{turn} answered"
            assert turn.said["assistant"] == answer.view.reply.content, "another reply was shown"
        else:
            assert answer.view.turn.session_id in promises.gone, "an answer of no turn"
        if earlier is not None and earlier.over:
            assert earlier.id == answer.view.turn.id, "the same key gave another turn"
            assert answer.replayed, "an earlier answer was given as new"
            if not course.thawed:
                assert sum(promises.asked.values()) == asked_before, "a replay asked the model"
        return "answered"

    def earlier(self, sent: TurnRequest) -> SeenTurn | None:
        """Return the turn that a message's key had before."""
        turn_id = self.promises.keys.get(sent.idempotency_key or "")
        return None if turn_id is None else self.promises.seen.turn(turn_id)

    def refused(self, sent: TurnRequest, error: Exception, *, faulty: bool, thawed: bool) -> None:
        """See that a message was refused with reason."""
        seen = self.promises.seen
        session = seen.sessions.get(sent.session_id)
        match error:
            case TurnFailed():
                turn = seen.turn(error.turn_id)
                if turn is None:
                    assert error.session_id in self.promises.gone
                    return
                assert (turn.text, turn.status) == (sent.text, error.status), f"{error}: {turn}"
                assert turn.error_code == error.code, f"{error}: {turn.error_code}"
                assert turn.error_detail == error.detail, f"{error}: {turn.error_detail}"
            case TurnInProgress() | TurnWaiting():
                turn = seen.turn(error.turn_id)
                assert turn is not None or error.session_id in self.promises.gone
                if turn is not None:
                    assert turn.text != sent.text, "a message stood in its own way"
                    assert thawed or not turn.over, f"turn {turn.number} is over"
            case TurnUnfinished():
                self._unfinished(sent, error.turn_id, error.session_id, thawed=thawed)
            case QueueFull():
                assert session is None or len(session.open) >= MOST_WAITING or thawed
            case NotFound():
                assert session is None, "a session that is there was not found"
            case SessionNotActive():
                assert session is None or session.status != "active" or thawed
            case StoreUnavailable():
                assert faulty or self.world.stood_still(error), "no store had failed"
            case _:
                raise error

    def _unfinished(
        self, sent: TurnRequest, turn_id: UUID, session_id: UUID, *, thawed: bool
    ) -> None:
        """See that a turn of which it was said that it goes on is the message's, and does."""
        turn = self.promises.seen.turn(turn_id)
        assert turn is not None or session_id in self.promises.gone
        if turn is not None:
            assert turn.text == sent.text, "another turn is unfinished"
            assert thawed or not turn.over, "a turn that is over was called unfinished"

    def reuse_key(self, key: str) -> None:
        """Send another text with a key; the key must stand for its own turn."""
        sent = self.messages[key]
        text = self.new_text("a")
        other = request(sent.session_id, text, user=self.world.user, key=key, opens=sent.opens)
        if self.earlier(sent) is not None:
            with pytest.raises(IdempotencyKeyReused):
                self.world.main.run(self.world.main.sender.send(other, seconds=0.05))

    def expire(self, session_id: UUID) -> None:
        """Let the lease of a session's turn run out."""
        self.world.change(
            "UPDATE turns SET lease_expires_at = now() - interval '1 second'"
            " WHERE session_id = %s AND status = 'running' AND lease_expires_at > '-infinity'",
            (session_id,),
        )

    def wait_a_minute(self, session_id: UUID) -> None:
        """Let a session's turns wait so long that the recovery wakes a worker, or again."""
        self.world.change(
            "UPDATE turns SET created_at = created_at - interval '61 seconds'"
            " WHERE session_id = %s AND status = 'queued'",
            (session_id,),
        )
        self.world.change(
            "UPDATE turns SET woken_at = NULL WHERE session_id = %s AND ended_at IS NULL",
            (session_id,),
        )

    def recover(self, process: Process, *, course: Course = NOTHING, faulty: bool = False) -> str:
        """Wake for what was left behind."""
        try:
            recovered = process.run(process.recovery.recover(seconds=30))
        except (ProcessDied, asyncio.CancelledError):
            assert course.dead, "a process ended without having died"
            return "died"
        except StoreUnavailable:
            assert faulty or course.dead, "no store had failed"
            return "unavailable"
        if not course.dead and not course.thawed:
            assert faulty or not recovered.left, f"{recovered}"
        return "recovered"

    def claim(self, process: Process, turn: SeenTurn) -> RunningTurn | None:
        """Claim a turn whose lease ran out; None if it cannot be had."""
        sent = replace(
            self._requests[turn.text],
            session_id=turn.session_id,
            turn_id=turn.id,
            idempotency_key=None,
            opens=None,
        )
        begun = process.bench.turns.begin(sent)
        if begun.turn is not None:
            self.world.held.append(begun.turn)
            self.world.unheard.add(turn.session_id)
        return begun.turn

    def cancel(
        self,
        process: Process,
        session_id: UUID,
        *,
        which: int = 0,
        course: Course = NOTHING,
        faulty: bool = False,
    ) -> str:
        """Cancel a turn that runs or waits on a session, and judge what comes of it."""
        turns = self.promises.seen.sessions[session_id].open
        if not turns:
            return "nothing ran"
        turn = turns[which % len(turns)]
        try:
            work = process.canceller.cancel(self.world.user, session_id, turn.id)
            cancelled = process.run(work)
        except (ProcessDied, asyncio.CancelledError):
            assert course.dead, "a process ended without having died"
            return "died"
        except StoreUnavailable:
            assert faulty or course.dead, "no store had failed"
            return "unavailable"
        except NotFound:
            assert session_id in self.promises.gone, "a turn that is there was not found"
            return "gone"
        self.world.look()
        now = self.promises.seen.turn(turn.id)
        if now is not None:  # else deleted meanwhile
            assert now.status == cancelled.view.turn.status, f"{now} was {cancelled.outcome}"
            assert now.over, "a turn that was cancelled runs"
            assert (now.status == "cancelled") == (cancelled.outcome != "too_late")
        # Of a turn that waited, who cancels it again cannot know that it was he.
        if not course.thawed and not (faulty and turn.attempt == 0):
            assert cancelled.outcome != "already_cancelled", "nobody else had"
        return cancelled.outcome

    def decide(
        self,
        process: Process,
        session_id: UUID,
        *,
        approve: bool,
        which: int = 0,
        course: Course = NOTHING,
        faulty: bool = False,
    ) -> str:
        """Decide on something that a session's turn asks for, and judge what comes of it."""
        session = self.promises.seen.sessions.get(session_id)
        turn = session.asks if session is not None else None
        if turn is None:
            return "nothing to decide"
        asked = turn.undecided[which % len(turn.undecided)]
        status: Decision = "approved" if approve else "rejected"
        user = self.world.user
        try:
            process.run(process.decider.decide(asked.id, status, by=user, may=()))
        except (ProcessDied, asyncio.CancelledError):
            assert course.dead, "a process ended without having died"
            return "died"
        except StoreUnavailable:
            assert faulty or course.dead, "no store had failed"
            return "unavailable"
        except NotFound:
            assert session_id in self.promises.gone, "an approval that is there was not found"
            return "gone"
        except AlreadyDecided as error:
            assert course.thawed, "nobody else had"
            told, outcome = error.decision, "already decided"
        else:
            told = outcome = status
        self.world.look()
        assert self._decision(turn, asked) in (None, told), f"who decided was told {told}"
        return outcome

    def _decision(self, turn: SeenTurn, asked: SeenApproval) -> str | None:
        now = self.promises.seen.turn(turn.id)
        found = {} if now is None else {each.id: each for each in now.approvals.values()}
        # A session that was deleted takes them along.
        return found[asked.id].status if now is not None else None

    def decide_all(self, process: Process, session_id: UUID) -> None:
        """Have somebody decide on all that a session's turn asks for, one way and the other."""
        session = self.promises.seen.sessions.get(session_id)
        turn = session.asks if session is not None else None
        for asked in turn.undecided if turn is not None else ():
            self.decide(process, session_id, approve=asked.id.int % 3 > 0)

    def expire_approvals(self, process: Process, session_id: UUID, *, faulty: bool = False) -> str:
        """Let pass the time in which somebody decides, and the hourly recovery see that."""
        self.world.change(
            "UPDATE approvals a SET expires_at = now() FROM turns t"
            " WHERE t.id = a.turn_id AND t.session_id = %s AND a.status = 'open'",
            (session_id,),
        )
        self.world.unheard.add(session_id)  # until the recovery wakes for it
        try:
            process.recovery.expire(left=lambda: 60.0)
        except StoreUnavailable:
            assert faulty, "no store had failed"
            return "unavailable"
        return "expired"

    def perhaps(self, change: Callable[[], object], *, faulty: bool) -> None:
        """Do something that a store may refuse."""
        try:
            change()
        except StoreUnavailable:
            assert faulty, "no store had failed"

    def delete(self, process: Process, session_id: UUID, *, faulty: bool = False) -> None:
        """Delete a session."""
        self.promises.gone.add(session_id)
        try:
            process.forgetter.delete(self.world.user, session_id)
        except StoreUnavailable:
            assert faulty, "no store had failed"
        except NotFound:
            assert faulty or session_id not in self.promises.seen.sessions

    def erase(self, process: Process, *, faulty: bool = False) -> None:
        """Erase the user, with all sessions; what comes in later is a new user's."""
        seen, promises = self.promises.seen, self.promises
        promises.gone |= seen.sessions.keys()
        promises.erased = True
        self.perhaps(
            lambda: process.eraser.erase(self.world.user, left=lambda: 60.0), faulty=faulty
        )
        self.world.look()
        promises.erased = False
        # Nobody sends those messages again: their keys are not known any more.
        self.messages.clear()
        promises.keys.clear()

    def clear(self, process: Process, session_id: UUID, *, faulty: bool = False) -> None:
        """Make the agent forget what there was of a session."""
        self.promises.cleared.add(session_id)
        forget = lambda: process.forgetter.clear(self.world.user, session_id)  # noqa: E731
        self.perhaps(forget, faulty=faulty)

    def prune(self, process: Process, session_id: UUID, *, faulty: bool = False) -> None:
        """Remove memory that nobody is shown any more."""
        self.perhaps(lambda: process.forgetter.prune(self.world.user, session_id), faulty=faulty)

    def drain(self) -> None:
        """Let the time of the outbox come, and see that deleted sessions leave nothing."""
        self.world.change("UPDATE memory_deletions SET not_before = now()")
        while self.world.other.outbox.drain(20):
            pass
        self.drained |= self.promises.gone - self.promises.seen.sessions.keys()
        for session_id in self.drained - self.world.unswept:
            left = self.world.everything_stored(session_id)
            assert not left, f"{left} rows of a deleted session are left in memory"
