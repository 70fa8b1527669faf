"""The plain model: what was asked for so far, and what may have become of it.

It follows what Postgres shows from step to step and knows which changes are allowed; what it says
the model is to be shown is worked out from the transcript alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from uuid import UUID

from parley.ids import Voucher
from parley.memory.window import LOW_MARK_PERCENT, vouched_turns
from parley_testing.schedules import plans
from parley_testing.schedules.plans import Canonical
from parley_testing.schedules.seen import Seen, SeenSession, SeenTurn

Vouched = Sequence[Voucher]
MOST_WAITING = 20


@dataclass
class Promises:
    """What a user was promised.

    Attributes:
        seen: What was there at the last look.
        sent: The session that each text was sent to; every text is sent with one message only,
            however often that is retried.
        gone: Sessions whose deletion was asked for.
        cleared: Sessions whose memory somebody asked to be forgotten.
        lost: (session, number) of turns whose memory was damaged, pruned, cleared or has expired.
        lost_summaries: Ids of summaries that were damaged, or have expired.
        summaries: What each summary that counted was of: its session, and what was said.
        keys: What became of each idempotency key first: the turn, and how it ended.
        asked: How often the model was asked, by text.
        erased: Whether the user is being erased, with what is summed and what tools made.
        late_calls: How many calls for summaries may still be counted whose sessions have gone.
    """

    items: int
    seen: Seen = field(default_factory=lambda: Seen({}, []))
    made: set[UUID] = field(default_factory=set)
    sent: dict[str, UUID | None] = field(default_factory=dict)
    gone: set[UUID] = field(default_factory=set)
    cleared: set[UUID] = field(default_factory=set)
    lost: set[tuple[UUID, int]] = field(default_factory=set)
    lost_summaries: set[UUID] = field(default_factory=set)
    summaries: dict[Voucher, tuple[UUID, list[str]]] = field(default_factory=dict)
    keys: dict[str, UUID] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    order: list[UUID] = field(default_factory=list)
    effects: set[str] = field(default_factory=set)
    erased: bool = False
    late_calls: int = 0

    def follow(self, now: Seen) -> None:
        """Take what is there now; every change since the last look must be allowed."""
        before, self.seen = self.seen, now
        for session in before.sessions.values():
            if session.id not in now.sessions:
                assert session.id in self.gone, f"session {session.id} went by itself"
        self.order += [each for each in now.sessions if each not in self.order]
        for session in now.sessions.values():
            self._session(before.sessions.get(session.id), session)
        self._effects(now)
        if not self.erased:
            self._usage(before, now)

    def _usage(self, before: Seen, now: Seen) -> None:
        """What is summed by day is what turns and summaries came to, also of sessions that went."""
        gone = before.sessions.keys() - now.sessions.keys()
        there = sum(session.model_calls for session in now.sessions.values())
        earlier = sum(session.model_calls for session in before.sessions.values())
        kept = sum(before.sessions[each].model_calls for each in gone)
        added = (now.model_calls - there) - (before.model_calls - earlier)
        # A turn may have ended after the last look, and its session gone before this one. What was
        # asked for a summary is counted when that is over, though its session went before.
        off = added - kept
        assert off >= 0 if gone else 0 <= off <= self.late_calls, f"usage is {off} calls off"
        if not gone:
            self.late_calls -= off

    def _session(self, before: SeenSession | None, now: SeenSession) -> None:
        numbers = [turn.number for turn in now.turns]
        assert numbers == list(range(1, len(numbers) + 1)), f"turns are numbered {numbers}"
        assert now.next_number == len(numbers) + 1, f"{now.next_number} follows {numbers}"
        running = [turn.number for turn in now.turns if turn.status == "running"]
        assert len(running) <= 1, f"turns {running} run at once"
        queued = [turn for turn in now.turns if turn.status == "queued"]
        assert len(queued) <= MOST_WAITING, f"{len(queued)} turns wait"
        asking = [turn.number for turn in now.turns if turn.status == "waiting"]
        assert len(running) + len(asking) <= 1, f"turns {running} run and {asking} ask at once"
        started = [turn.number for turn in now.turns if turn.attempt > 0]
        waiting = [turn.number for turn in now.open]
        assert not started or not waiting or max(started) <= waiting[0], (
            f"turn {max(started)} was started, and turn {waiting[0]} is not over"
        )
        texts = [turn.text for turn in now.turns]
        assert len(set(texts)) == len(texts), f"a message was taken twice: {texts}"
        if before is not None:
            assert len(before.turns) <= len(now.turns), "a turn was lost"
            if now.memory_from != before.memory_from:
                assert now.id in self.cleared, "memory was cleared by itself"
                assert now.memory_from > before.memory_from, "memory came back"
            assert now.window_from >= before.window_from, "the window moved back"
            for old, new in zip(before.turns, now.turns, strict=False):
                self._change(old, new)
        for turn in now.turns:
            self._turn(turn)
        if now.summary is not None:
            assert now.summary_to < now.window_from, "a summary is of turns that are shown"
            _, of = self.summaries.setdefault(now.summary, (now.id, now.summarised))
            assert of == now.summarised, f"a summary of {of} is one of {now.summarised} now"

    def _change(self, old: SeenTurn, new: SeenTurn) -> None:
        assert (old.id, old.text, old.key) == (new.id, new.text, new.key), "a turn was changed"
        assert new.attempt >= old.attempt, f"attempt {new.attempt} after {old.attempt}"
        assert new.crashes >= old.crashes, f"{new.crashes} crashes after {old.crashes}"
        assert new.attempt - old.attempt >= new.crashes - old.crashes, "crashes without attempts"
        if old.cancel_requested:
            assert new.cancel_requested, "the wish to cancel was forgotten"
            assert new.status in ("running", "cancelled", "completed"), f"it is {new.status}"
            assert old.calls == new.calls, "a tool was called after its turn was cancelled"
        kept = {call_id: new.calls.get(call_id) for call_id in old.calls}
        assert kept == old.calls, "a tool call's output was changed"
        for call_id, asked in old.approvals.items():
            still = new.approvals.get(call_id)
            assert still is not None, "an approval was lost"
            assert asked.status in ("open", still.status), f"{asked} became {still}"
            assert (asked.tool, asked.arguments) == (still.tool, still.arguments), "it was changed"
        if old.over:
            assert (old.status, old.attempt, old.said, old.error_detail, old.remembered) == (
                new.status,
                new.attempt,
                new.said,
                new.error_detail,
                new.remembered,
            ), "a turn changed after its end"
            assert old.calls == new.calls, "a tool was called after the end of its turn"

    def _turn(self, turn: SeenTurn) -> None:
        assert turn.text in self.sent, f"nobody said {turn.text!r}"
        named = self.sent[turn.text]
        assert named is None or named == turn.session_id, "a message came into another session"
        if turn.key is not None:
            first = self.keys.setdefault(turn.key, turn.id)
            assert first == turn.id, f"the key {turn.key} has two turns"
        reply = turn.said.get("assistant")
        called = [call for call, outputs in turn.outputs.items() for _ in outputs]
        wanted = plans.all_recorded(turn.text)
        if turn.status == "completed":
            assert reply is not None, "a completed turn has no reply"
            assert plans.is_reply(turn.text, reply), f"the reply to {turn.text!r} is {reply!r}"
            assert not plans.fails(turn.text), "a model that failed has answered"
            assert sorted(called) == sorted(wanted), f"{called} were called, not {wanted}"
        else:
            assert reply is None, f"a turn that is {turn.status} has a reply"
            assert Counter(called) <= Counter(wanted), f"{called} were called, not {wanted}"
        for call, outputs in turn.outputs.items():
            wrong = [output for output in outputs if not plans.right_output(call, output)]
            assert not wrong, f"{call} gave {wrong}"
        if turn.over and turn.status != "completed":
            assert turn.error_code, "a turn stopped without a reason"
            assert turn.error_detail, "a turn stopped without a reason"
        self._approvals(turn)
        noted = turn.status in ("failed", "cancelled") and turn.effects > 0
        assert turn.remembered == (turn.status == "completed" or noted), "what is vouched for"
        for text in plans.all_texts(turn.text):
            most = len(plans.rounds(text)) + turn.attempt
            asked = self.asked[text]
            assert asked <= most, f"{text!r} asked {asked} times in {turn.attempt} attempts"

    def _approvals(self, turn: SeenTurn) -> None:
        """See that what needs approval is done if, and only if, somebody has approved it."""
        waits = turn.status == "waiting"
        assert waits == bool(turn.undecided), f"it is {turn.status}: {turn.approvals}"
        paid = {call_id for call_id, (name, *_) in turn.calls.items() if name == "pay"}
        approved = {
            call_id for call_id, each in turn.approvals.items() if each.status == "approved"
        }
        assert paid <= approved, f"{paid} were done, and {approved} approved"
        # Of one whose records were lost the model may be asked afresh: it calls something else.
        if turn.status == "completed" and self.asked[turn.text] >= 0:
            assert paid == approved, f"{paid} were done, and {approved} approved"

    def _effects(self, now: Seen) -> None:
        """See that each tool call that is recorded had its effect, once, and no other did."""
        for session in now.sessions.values():
            for turn in session.turns:
                self.effects |= {
                    plans.told(arguments)
                    for name, arguments, *_ in turn.calls.values()
                    if name in ("add_task", "book", "pay")
                }
        twice = [title for title, often in Counter(now.tasks).items() if often > 1]
        assert not twice, f"done twice: {twice}"
        if self.erased:
            self.effects &= set(now.tasks)
        known = self.effects
        assert known <= set(now.tasks), f"recorded and not done: {known - set(now.tasks)}"
        said = {text.split()[0]: text for text in self.sent}
        for title in set(now.tasks) - known:
            # Its turn went with its session, perhaps between two looks.
            assert self._went(said[title.split("/")[0]]), f"done and not recorded: {title}"

    def _went(self, text: str) -> bool:
        session_id = self.sent[text]
        return session_id is None or session_id in self.gone

    def summary_lost(self, session_id: UUID) -> bool:
        """Whether the summary of a session that counts was lost."""
        session = self.seen.sessions.get(session_id)
        voucher = None if session is None else session.summary
        return voucher is not None and voucher.turn_id in self.lost_summaries

    def vouched(self, turn: SeenTurn) -> list[Voucher]:
        """Return the turns that a turn which is begun now is to remember, newest first."""
        session = self.seen.sessions[turn.session_id]
        return [
            Voucher(other.number, other.attempt, other.id)
            for other in reversed(session.turns)
            if other.remembered and session.shown_from <= other.number < turn.number
        ][: vouched_turns(self.items)]

    def shown(
        self, session_id: UUID, vouched: Vouched, lost: Iterable[tuple[UUID, int]]
    ) -> list[Canonical]:
        """Return what the model is to be shown of vouched turns, oldest first.

        All of them; where they are too many, the newest that the low mark leaves.
        """
        by_number = {turn.number: turn for turn in self.seen.sessions[session_id].turns}
        gone = set(lost)
        left = [
            left_by(by_number[number], whole=(session_id, number) not in gone)
            for number, _, _ in vouched
        ]
        if len(left) >= vouched_turns(self.items) or sum(map(len, left)) > self.items:
            most = self.items * LOW_MARK_PERCENT // 100
            sizes = list(accumulate(map(len, left)))
            left = left[: max(1, sum(size <= most for size in sizes))]
        return [item for turn in reversed(left) for item in turn]


def left_by(turn: SeenTurn, *, whole: bool = True) -> list[Canonical]:
    """Return what a turn leaves in memory, or what the transcript tells of it."""
    said = ("user", turn.text)
    if turn.status != "completed":
        return [said, ("assistant", turn.error_detail or "")]
    called = plans.told_rounds(turn.text, turn.outputs) if whole else []
    return [said, *called, ("assistant", turn.said["assistant"])]
