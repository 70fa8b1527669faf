"""What is recorded of a turn for the next attempt to replay: answers, verdicts and outputs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from operator import itemgetter
from typing import Any

from pydantic_core import to_json

from parley.memory.codec import Unreadable
from parley.memory.store import AgentSessionStore, ClaimedTurn, TurnMemory
from parley.repository.tool_calls import Called, ToolCall, ToolCallRepository
from parley.repository.turns import ModelStep, Usage, as_usage, spent_of
from parley.threads import in_thread, in_thread_with_retry
from parley.turns.caps import Allotment, Caps
from parley.turns.lease import Lease
from parley.turns.own_context import OwnContext, State
from parley.turns.scope import inside, path
from parley.turns.values import made_again, made_from
from parley.usage.spent import Spent

_SAID = object()  # in place of a value that the output itself is


class Journal:
    """Keeps and replays what happened in a turn, for one attempt.

    Attributes:
        conversation: The key of the session's memory.
        records: Model responses recorded so far, by position.
        verdicts: Guardrails' verdicts recorded so far, by position.
        outputs: Tool calls recorded so far, by call id.
        values: What tools gave where the model is told its JSON, by call id.
        answered: What the SDK was given as a tool's answer, by call id.
        own: The agent's own context, as far as it is kept.
        caps: How much the turn may add to what the model is told.
        not_called: Calls of the model's that are more than it may make in one step.
        digest: Of the agent's structure; kept with each record.
        decided: What was decided of calls that needed approval, by call id: a digest of what may be
            done, None if nothing may. Kept with each record.
        tools_gone: Whether a tool is gone that an earlier attempt had the model call.
        usage: What all attempts' model calls came to.
        tool_errors: What tools failed with, by call id: the name of the exception's type.
        call_ids: Ids that the turn's tool calls have; the next must get others.
        holds_memory: Whether the turn's memory is this attempt's to write.
        finished: Whether it has marked that memory done.
    """

    def __init__(
        self,
        lease: Lease,
        conversation: str,
        store: AgentSessionStore,
        tool_calls: ToolCallRepository,
        caps: Caps,
    ) -> None:
        """Keep what it is about; nothing is read or written yet.

        Args:
            lease: The attempt's, which every write asks.
            conversation: The key of the session's memory.
            store: Where model responses are recorded.
            tool_calls: Where outputs are recorded.
            caps: How much the turn may add to what the model is told.
        """
        self.conversation = conversation
        self.records: dict[str, dict[str, Any]] = {}
        self.verdicts: dict[str, dict[str, Any]] = {}
        self.outputs: dict[str, ToolCall] = {}
        self.values: dict[str, Any] = {}
        self.answered: dict[str, Any] = {}
        self.own = OwnContext(None)
        self.caps = caps
        self.not_called: set[str] = set()
        self.digest = ""
        self.decided: dict[str, str | None] = {}
        self.tools_gone = False
        self.usage = Usage()
        self.tool_errors: dict[str, str] = {}
        self.call_ids: set[str] = set()
        self.holds_memory = lease.turn.attempt == 1
        self.finished = False
        self._answered_bytes = 0
        self._unreadable = False
        self._lease = lease
        self._store = store
        self._tool_calls = tool_calls
        self._positions: dict[tuple[str, ...], int] = {}
        self._allotment = Allotment(caps)
        self._own_before: dict[str, State] = {}
        self._called_at: dict[str, float] = {}
        self._runs: dict[tuple[str, ...], int] = {}
        self._offered: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._not_kept: list[Mapping[str, Any]] = []
        self._steps_not_kept: list[ModelStep] = []

    def resume(
        self, records: Mapping[str, dict[str, Any]], outputs: Mapping[str, ToolCall]
    ) -> None:
        """Take over what earlier attempts recorded.

        Args:
            records: Model responses and guardrails' verdicts, by position.
            outputs: Tool calls, by call id.
        """
        self.outputs = dict(outputs)
        for position, record in records.items():
            if "verdict" in record:
                self.verdicts[position] = record["verdict"]
            else:
                self.records[position] = record
        for record in records.values():
            for usage in record.get("failed", ()):
                self.count(spent_of(usage))
        steps = [step for record in records.values() for step in record.get("steps", ())]
        steps.sort(key=itemgetter("ended_at"))
        self.usage = replace(self.usage, steps=(*self.usage.steps, *steps))
        for record in self.records.values():
            self.count(spent_of(record["usage"]))
            self._count_answer(record, _answer_bytes(record))
        for call in self.outputs.values():
            self._allotment.take(call.call_id, call.output, told=call.told)

    def count(self, spent: Spent) -> None:
        """Add what a model call came to."""
        self.usage = self.usage.plus(spent)

    def add_answer(self, record: Mapping[str, Any]) -> bool:
        """Add a model's answer to those of the turn if there is room; tell whether there was."""
        size = _answer_bytes(record)
        if self._answered_bytes + size > self.caps.answers_bytes:
            return False
        self._count_answer(record, size)
        return True

    def _count_answer(self, record: Mapping[str, Any], size: int) -> None:
        self._answered_bytes += size
        self.call_ids |= {item["call_id"] for item in record["output"] if "call_id" in item}

    def add_step(self, step: ModelStep) -> None:
        """Add what became of a model call; the next record keeps it."""
        self.usage = replace(self.usage, steps=(*self.usage.steps, step))
        self._steps_not_kept.append(step)

    def count_failed(self, spent: Spent) -> None:
        """Add what a model call came to that was of no use; the next record keeps it."""
        self.count(spent)
        self._not_kept.append(as_usage(spent))

    @property
    def has_records(self) -> bool:
        """Whether anything of the turn is recorded in the agent-session store."""
        return bool(self.records or self.verdicts) or self._unreadable

    @property
    def agent_changed(self) -> bool:
        """Whether a deploy changed the agent since an earlier attempt, or a server its tools."""
        return self.tools_gone or any(
            record.get("digest") != self.digest for record in self.records.values()
        )

    def decided_otherwise(self, left: TurnMemory | None) -> bool:
        """Return whether the turn had come further by other decisions than those that stand now.

        Nobody decides twice, but on a database that was restored to before the first time.

        Args:
            left: What an attempt left that had finished; None if there is nothing.
        """
        kept = [record.get("decided", {}) for record in self.records.values()]
        if left is not None:
            kept.append(left.decided)
        now = self.decided
        return any(
            now.get(call_id, then) != then for decided in kept for call_id, then in decided.items()
        )

    def begin_call(self, call_id: str) -> None:
        """Take note of the time, and of the agent's own context, before a tool is called."""
        self._own_before[call_id] = self.own.state()
        self._called_at[call_id] = time.monotonic()

    def value(self, call_id: str) -> Any:
        """Return what a tool gave; what the model is told of it where that says all of it."""
        call = self.outputs[call_id]
        if call_id not in self.values and call.made_from is not None:
            self.values[call_id] = made_again(call.output, call.made_from)
        return self.values.get(call_id, call.output)

    def next_position(self, *within: str) -> str:
        """Name what comes next by where it stands: the tool calls around it, and its place there.

        Agents used as tools run in parallel; by order of time they would get each other's
        answers on replay.
        """
        whole = (*path(), *within)
        place = self._positions.get(whole, 0)
        self._positions[whole] = place + 1
        return "/".join((*whole, str(place)))

    def position(self) -> str:
        """Return the name that the last one got where the caller stands."""
        return "/".join((*path(), str(self._positions[path()] - 1)))

    def inside_run(self) -> AbstractContextManager[None]:
        """Let the model calls of a run inside the block stand by themselves.

        The first run in a place has the place to itself. Others may be made beside it: by order of
        time they would get each other's answers on replay.
        """
        here = path()
        number = self._runs.get(here, 0)
        self._runs[here] = number + 1
        return inside(f"run {number}") if number else nullcontext()

    def offer(self, names: Iterable[str]) -> None:
        """Take note of the tools that the model is offered where the caller stands."""
        self._offered[path()] = tuple(names)

    def offered(self) -> tuple[str, ...]:
        """Return the names of the tools that the model was last offered where the caller stands."""
        return self._offered.get(path(), ())

    def rewind(self) -> None:
        """Let the run start again in this attempt: what it recorded is given back to it."""
        self._positions.clear()
        self._runs.clear()

    def step_back(self) -> int | None:
        """Have what comes next stand where the last came, which failed.

        Returns:
            Which of the turn's steps that is; None below a tool call.
        """
        here = path()
        self._positions[here] -= 1
        return None if here else self._positions[here]

    async def record_response(self, position: str, record: dict[str, Any]) -> None:
        """Keep a model response before anything follows from it.

        Raises:
            Fenced: This attempt was replaced.
            StoreUnavailable: The store cannot serve now.
        """
        kept = {**record, "digest": self.digest}
        if self.decided:
            kept["decided"] = self.decided
        if "/" not in position and (state := self.own.state()):
            kept["context"] = state
        await self._record(position, kept)
        self.records[position] = kept

    async def record_verdict(self, position: str, verdict: dict[str, Any]) -> None:
        """Keep a guardrail's verdict before anything follows from it.

        Raises:
            Fenced: This attempt was replaced.
            StoreUnavailable: The store cannot serve now.
        """
        await self._record(position, {"verdict": verdict})
        self.verdicts[position] = verdict

    async def _record(self, position: str, record: dict[str, Any]) -> None:
        turn = self._lease.turn
        if self._not_kept:
            record = {**record, "failed": self._not_kept}
            self._not_kept = []
        if self._steps_not_kept:
            record = {**record, "steps": self._steps_not_kept}
            self._steps_not_kept = []
        await self._lease.write(
            self._store.record, self.conversation, turn.key, turn.attempt, position, record
        )

    async def record_output(self, called: Called, output: Any, *, raised: bool = False) -> None:
        """Keep what a tool answered before the model is told of it.

        Args:
            called: The call.
            output: A JSON value.
            raised: Whether the model is not told: the tool's exception fails the run.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: Postgres cannot serve now.
        """
        call = replace(self.answer(called, output, effect=False), raised=raised)
        await self._lease.write(self._tool_calls.record, self._lease.turn, call)
        self.outputs[call.call_id] = call

    def answer(self, called: Called, output: Any, *, effect: bool) -> ToolCall:
        """Make the record of what a tool answered.

        Args:
            called: The call.
            output: A JSON value.
            effect: Whether the tool changes something.
        """
        value = self.values.get(called.call_id, _SAID)
        origin = None if value is _SAID else made_from(value)
        told = self._allotment.take(called.call_id, output)
        changed = self.own.changed_since(self._own_before.get(called.call_id, {}))
        begun = self._called_at.get(called.call_id)
        return ToolCall(
            *called,
            output,
            effect=effect,
            made_from=origin,
            told=told,
            context=changed,
            error=self.tool_errors.get(called.call_id),
            milliseconds=None if begun is None else round((time.monotonic() - begun) * 1000),
        )

    async def recorded(self) -> Mapping[str, ToolCall]:
        """Read what Postgres has of the turn's tool calls, by call id.

        Raises:
            StoreUnavailable: Postgres cannot serve now.
        """
        return await in_thread_with_retry(self._tool_calls.of_turn, self._lease.turn)

    async def finish(self, memory: TurnMemory) -> None:
        """Mark the turn's memory done: from here on it can only be completed, or stopped.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: The store cannot serve now.
            StoreRefused: The store will not take it.
        """
        turn = self._lease.turn
        await self._lease.write(
            self._store.finish, self.conversation, turn.key, turn.attempt, memory
        )
        self.finished = True

    async def discard(self) -> None:
        """Drop the records of a turn that has ended: nobody goes on from them any more.

        Raises:
            StoreUnavailable: The store cannot serve now; they expire by themselves.
        """
        turn = self._lease.turn
        await in_thread(self._store.discard, self.conversation, turn.key, turn.attempt)

    async def claim_memory(self) -> ClaimedTurn:
        """Make the turn's memory this attempt's, and return what it holds.

        Raises:
            Fenced: A later attempt has claimed it.
            Unreadable: A record of it is damaged; the claim stands.
            StoreUnavailable: The store cannot serve now.
        """
        turn = self._lease.turn
        self.holds_memory = False
        try:
            claimed = await in_thread_with_retry(
                self._store.claim, self.conversation, turn.key, turn.attempt
            )
        except Unreadable:
            self.holds_memory = self._unreadable = True
            raise
        self.holds_memory = True
        return claimed


def _answer_bytes(record: Mapping[str, Any]) -> int:
    return len(to_json(record["output"]))
