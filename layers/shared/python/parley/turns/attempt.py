"""One attempt at a turn: what it holds while the agent runs, and the writes that it may make."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError

from parley.errors import Fenced, StoreMisconfigured, StoreRefused, StoreUnavailable
from parley.events.writer import EventWriter
from parley.failpoints import failpoint
from parley.ids import conversation_key
from parley.memory.codec import Unreadable
from parley.memory.store import AgentSessionStore, ClaimedTurn
from parley.repository.database import IDLE_TOO_LONG, QUERY_CANCELED, Database, refusal
from parley.repository.scope import OfUser
from parley.repository.tool_calls import (
    AlreadyRecorded,
    Called,
    ToolCall,
    ToolCallRepository,
    record_in,
)
from parley.repository.turns import LEASE_SECONDS, RunningTurn, TurnRepository, Usage
from parley.retry import with_retry
from parley.threads import OwnThreads, in_thread, in_thread_with_retry, to_its_end
from parley.turns.caps import Allotment, Caps
from parley.turns.context import Effect, TurnContext
from parley.turns.own_context import OwnContext, State
from parley.turns.scope import inside, path
from parley.turns.values import made_again, made_from
from parley.turns.wakeup import Waker, Watchdog

P = ParamSpec("P")
T = TypeVar("T")

# Two tools of one turn on a small pool deadlocked the loop, so bodies that hold a connection run
# one after another, in one thread (turn-protocol, section 6).
_BODIES = OwnThreads("parley-tool", at_once=1)

BODY_SECONDS = 1.0
"""How long a tool's body is waited for when its turn must end: a commit that is under way takes
less, and a thread cannot be stopped."""


_SAID = object()  # in place of a value that the output itself is


_CAPS = Caps()


class Attempt:
    """Holds the turn that this process runs.

    A store that fails, or a fence that refuses, ends the attempt: `broken` keeps the error, and
    every later call raises it. The SDK turns a tool's exception into text for the model, also
    from inside an agent that is used as a tool; an attempt that was replaced would go on talking.

    Attributes:
        turn: The turn, with the number of the attempt.
        conversation: The key of the session's memory.
        records: Model responses recorded so far, by position.
        verdicts: Guardrails' verdicts recorded so far, by position.
        outputs: Tool calls recorded so far, by call id.
        values: What tools gave where the model is told its JSON, by call id.
        answered: What the SDK was given as a tool's answer, by call id.
        own: The agent's own context; the run's, where it has none.
        caps: How much of tools' outputs the model is told.
        not_called: Calls of the model's that are more than it may make in one step.
        digest: Of the agent's structure; kept with each record.
        usage: What all attempts' model calls came to.
        tool_errors: What tools failed with, by call id: the name of the exception's type.
        model_error: What the model last failed with.
        refused: Why a run inside the run, which only its tool has heard of, was not made.
        overran: Whether a tool's statement took longer than a statement may.
        call_ids: Ids that the turn's tool calls have; the next must get others.
        event writer: Keeps the turn's event log; None where nobody follows it.
        watchdog: Has a worker look if the attempt dies.
        holds_memory: Whether the turn's memory is this attempt's to write.
        finished: Whether it has marked that memory done.
    """

    def __init__(
        self,
        turn: RunningTurn,
        database: Database,
        turns: TurnRepository,
        tool_calls: ToolCallRepository,
        store: AgentSessionStore,
        waker: Waker | None = None,
        caps: Caps = _CAPS,
    ) -> None:
        """Hold a turn.

        Args:
            turn: The turn, with the number of the attempt.
            database: Where tools have their effects.
            turns: Where the lease is.
            tool_calls: Where outputs are recorded.
            store: Where model responses are recorded.
            waker: Wakes a worker, where there is one.
            caps: How much of tools' outputs the model is told.
        """
        self.turn = turn
        self.conversation = conversation_key(turn.user_id, turn.session_id)
        self.context = TurnContext(turn.user_id, turn.session_id, turn.id)
        self.records: dict[str, dict[str, Any]] = {}
        self.verdicts: dict[str, dict[str, Any]] = {}
        self.outputs: dict[str, ToolCall] = {}
        self.values: dict[str, Any] = {}
        self.answered: dict[str, Any] = {}
        self.own: Any = self.context
        self.caps = caps
        self.not_called: set[str] = set()
        self.usage = Usage()
        self.digest = ""
        self.broken: Exception | None = None
        self.tool_errors: dict[str, str] = {}
        self.model_error: Exception | None = None
        self.refused: Exception | None = None
        self.overran = False
        self.call_ids: set[str] = set()
        self.event_writer: EventWriter | None = None
        self.watchdog = Watchdog(waker or Waker(), turn.session_id, turn.user_id)
        self.holds_memory = turn.attempt == 1
        self.finished = False
        self._database = database
        self._turns = turns
        self._tool_calls = tool_calls
        self._store = store
        self._positions: dict[tuple[str, ...], int] = {}
        self._allotment = Allotment(caps)
        self._own = OwnContext(None)
        self._own_before: dict[str, State] = {}
        self._called_at: dict[str, float] = {}
        self._runs: dict[tuple[str, ...], int] = {}
        self._offered: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._one_body = asyncio.Lock()
        self._body: asyncio.Future[ToolCall] | None = None
        self._ending = False
        self._not_kept: list[Mapping[str, int]] = []
        self._held_until = _lease_end()

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
                self.count(usage)
        for record in self.records.values():
            self.count(record["usage"])
            self.call_ids |= {item["call_id"] for item in record["output"] if "call_id" in item}
        for call in self.outputs.values():
            self._allotment.take(call.call_id, call.output, told=call.told)

    def count(self, usage: Mapping[str, int]) -> None:
        """Add a model call's tokens."""
        self.usage = Usage(
            self.usage.model_calls + 1,
            self.usage.input_tokens + usage["input_tokens"],
            self.usage.output_tokens + usage["output_tokens"],
        )

    def count_failed(self, usage: Mapping[str, int]) -> None:
        """Add the tokens of a model call that was of no use; the next record keeps them."""
        self.count(usage)
        self._not_kept.append(dict(usage))

    @property
    def has_records(self) -> bool:
        """Whether anything of the turn is recorded in the agent-session store."""
        return bool(self.records or self.verdicts)

    @property
    def agent_changed(self) -> bool:
        """Whether a deploy changed the agent's structure since an earlier attempt."""
        return any(record.get("digest") != self.digest for record in self.records.values())

    def give_context(self, own: Any) -> None:
        """Have the run given the agent's own context."""
        self.own, self._own = own, OwnContext(own)

    def begin_call(self, call_id: str) -> None:
        """Take note of the time, and of the agent's own context, before a tool is called."""
        self._own_before[call_id] = self._own.state()
        self._called_at[call_id] = time.monotonic()

    def put_context_back(self, state: State) -> None:
        """Set the agent's own context to what an earlier attempt had made of it."""
        self._own.put_back(state)

    def value(self, call_id: str) -> Any:
        """Return what a tool gave; what the model is told of it where that says all of it."""
        call = self.outputs[call_id]
        if call_id not in self.values and call.made_from is not None:
            self.values[call_id] = made_again(call.output, call.made_from)
        return self.values.get(call_id, call.output)

    def check(self) -> None:
        """Raise what ended the attempt, if anything has."""
        if self.broken is not None:
            raise self.broken

    def mend(self) -> None:
        """Let the turn be ended though a store has refused what it had to write."""
        if isinstance(self.broken, StoreRefused | StoreMisconfigured):
            self.broken = None

    def next_position(self, *within: str) -> str:
        """Name what comes next by where it stands: the tool calls around it, and its place there.

        Agents used as tools run in parallel; by order of time they would get each other's
        answers on replay.
        """
        whole = (*path(), *within)
        place = self._positions.get(whole, 0)
        self._positions[whole] = place + 1
        return "/".join((*whole, str(place)))

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

    def not_answered(self, error: Exception) -> None:
        """Take note that the model failed; a retry of the call stands in the same place."""
        self._positions[path()] -= 1
        self.model_error = error
        if self.event_writer is not None and not path():
            self.event_writer.void(self._positions[()])

    async def record_response(self, position: str, record: dict[str, Any]) -> None:
        """Keep a model response before anything follows from it.

        Raises:
            Fenced: This attempt was replaced.
            StoreUnavailable: The store cannot serve now.
        """
        kept = {**record, "digest": self.digest}
        if "/" not in position and (state := self._own.state()):
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
        turn = self.turn
        if self._not_kept:
            record = {**record, "failed": self._not_kept}
            self._not_kept = []
        await self.write(
            self._store.record, self.conversation, turn.key, turn.attempt, position, record
        )

    async def record_output(self, called: Called, output: Any) -> None:
        """Keep what a tool answered before the model is told of it.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: Postgres cannot serve now.
        """
        call = self._answered(called, output, effect=False)
        await self.write(self._tool_calls.record, self.turn, call)
        self.outputs[call.call_id] = call

    def _answered(self, called: Called, output: Any, *, effect: bool) -> ToolCall:
        value = self.values.get(called.call_id, _SAID)
        origin = None if value is _SAID else made_from(value)
        told = self._allotment.take(called.call_id, output)
        changed = self._own.changed_since(self._own_before.get(called.call_id, {}))
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

    async def in_transaction(
        self, called: Called, body: Callable[[Effect], Any], *, changes: bool
    ) -> Any:
        """Run a tool's body and record its output in one transaction.

        If Postgres cannot serve, or refuses to serialize, all of it is done again, the body too.

        Args:
            called: The call.
            body: Does the tool's work and gives its output, a JSON value.
            changes: Whether the tool changes something.

        Returns:
            The body's output.

        Raises:
            Fenced: This attempt was replaced, or the turn is over; nothing was changed.
            StoreUnavailable: Postgres cannot serve now.
            Exception: Whatever the body raises; nothing was changed.
        """
        user = self.context

        def transaction() -> ToolCall:
            with self._database.transaction(OfUser(self.turn.user_id)) as connection:
                effect = Effect(
                    connection,
                    user.user_id,
                    user.session_id,
                    user.turn_id,
                    called.call_id,
                    self.own,
                )
                call = self._answered(called, body(effect), effect=changes)
                failpoint(f"inside the transaction of {called.name}")
                record_in(connection, self.turn, call)
                failpoint(f"before the commit of {called.name}")
            failpoint(f"after the commit of {called.name}")
            return call

        def recorded() -> ToolCall | None:
            return self._tool_calls.of_turn(self.turn).get(called.call_id)

        failed = False

        def once() -> ToolCall:
            nonlocal failed
            if failed and self._ending:  # nobody waits for it any more
                raise Fenced(self.turn.number, self.turn.attempt)
            # A COMMIT may have been carried out and only its answer lost: look it up.
            if failed and (call := recorded()) is not None:
                return call
            failed = True
            try:
                return transaction()
            except AlreadyRecorded:  # it was still being carried out when we looked
                if (call := recorded()) is None:
                    raise
                return call

        async with self._one_body:
            await self.ensure_held()
            if self._ending:
                raise Fenced(self.turn.number, self.turn.attempt)
            try:
                self._body = _BODIES.begin(lambda: with_retry(once))
                call = await self._noting(to_its_end(self._body, patience=BODY_SECONDS))
            except StoreUnavailable as error:
                self.overran = error.reason in (QUERY_CANCELED, IDLE_TOO_LONG)
                raise
        self.outputs[call.call_id] = call
        return call.output

    async def recorded(self) -> Mapping[str, ToolCall]:
        """Read what Postgres has of the turn's tool calls, by call id.

        Raises:
            StoreUnavailable: Postgres cannot serve now.
        """
        return await in_thread_with_retry(self._tool_calls.of_turn, self.turn)

    async def effects(self) -> list[ToolCall]:
        """Give the calls that changed something, when no more can be added to them.

        The SDK leaves a tool that runs beside one that failed to itself, and a commit that is
        under way when time is up is still carried out: both are waited for. A body that takes too
        long is left to itself, when this attempt is fenced and so it can commit nothing.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: Postgres cannot serve now.
        """
        self._ending = True
        if self._body is not None and not self._body.done():
            await asyncio.wait([self._body], timeout=BODY_SECONDS)
            if not self._body.done():
                await self._leave_behind()
        recorded = await self.recorded()
        return [call for call in recorded.values() if call.effect]

    async def _leave_behind(self) -> None:
        """Go on as another attempt, without the body that does not end."""
        fenced = await in_thread(self._turns.fence, self.turn)
        if fenced is None:
            raise Fenced(self.turn.number, self.turn.attempt)
        self.turn = fenced
        _BODIES.leave()
        self.holds_memory = False
        with suppress(Unreadable):  # nothing of it is needed
            await self.claim_memory(self._store.claim)

    async def claim_memory(self, claim: Callable[..., ClaimedTurn]) -> ClaimedTurn:
        """Make the turn's memory this attempt's, and give what it holds.

        Args:
            claim: The store's.

        Raises:
            Fenced: A later attempt has claimed it.
            Unreadable: A record of it is damaged; the claim stands.
            StoreUnavailable: The store cannot serve now.
        """
        turn = self.turn
        try:
            claimed = await in_thread_with_retry(claim, self.conversation, turn.key, turn.attempt)
        except Unreadable:
            self.holds_memory = True
            raise
        self.holds_memory = True
        return claimed

    async def write(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a write that may be repeated, patiently, if the attempt still holds its turn.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: A store cannot serve now.
            StoreRefused: A store will not take it.
        """
        await self.ensure_held()
        return await self._noting(_own(in_thread_with_retry(function, *args, **kwargs)))

    async def renew(self) -> None:
        """Hold the turn for another lease.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: Postgres cannot serve now.
        """
        if not await self._noting(_own(in_thread_with_retry(self._turns.renew, self.turn))):
            self.broken = self.broken or Fenced(self.turn.number, self.turn.attempt)
            raise self.broken
        self._held_until = _lease_end()
        self.watchdog.arm()  # if the queue could not take it before

    async def ensure_held(self) -> None:
        """Look whether the turn is still ours if the process may have been frozen meanwhile.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: Postgres cannot serve now.
        """
        self.check()
        if time.time() > self._held_until:
            await self.renew()

    async def _noting(self, write: Awaitable[T]) -> T:
        try:
            return await write
        except (Fenced, StoreUnavailable, StoreRefused) as error:
            self.broken = self.broken or error
            raise


async def _own(write: Awaitable[T]) -> T:
    """Wait for a statement of Parley's own: what Postgres refuses of a tool's, the model is told.

    Raises:
        StoreRefused: Postgres will not take it; `StoreMisconfigured` where the deployment is why.
    """
    try:
        return await write
    except DBAPIError as error:
        raise refusal(error) from error


def _lease_end() -> float:
    # The wall clock goes on while a process is frozen. Somewhat early: the lease began before
    # Postgres's answer came.
    return time.time() + LEASE_SECONDS - 5


_attempt: ContextVar[Attempt | None] = ContextVar("parley_attempt", default=None)
_body: ContextVar[Attempt | None] = ContextVar("parley_body", default=None)


def current_attempt() -> Attempt | None:
    """Return the attempt on whose behalf the caller runs; None outside a turn."""
    return _attempt.get()


@contextmanager
def running(attempt: Attempt) -> Iterator[None]:
    """Make the attempt the current one for all that is started inside the block."""
    token = _attempt.set(attempt)
    try:
        yield
    finally:
        _attempt.reset(token)


def attempt_of_body() -> Attempt | None:
    """Return the attempt in whose transaction the caller runs; None outside of one."""
    return _body.get()


@contextmanager
def in_body(attempt: Attempt) -> Iterator[None]:
    """Mark what runs inside the block as a body that holds a transaction of the attempt's."""
    token = _body.set(attempt)
    try:
        yield
    finally:
        _body.reset(token)
