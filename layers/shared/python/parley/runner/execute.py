"""Carrying out one attempt: from the begun turn to its end, in both stores.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from agents import Agent
from sqlalchemy.exc import DBAPIError

from parley.errors import (
    Fenced,
    NotFound,
    StoreMisconfigured,
    StoreRefused,
    StoreUnavailable,
    TurnUnfinished,
)
from parley.events.fanout import FanOut
from parley.events.log import EventLog
from parley.events.writer import EventWriter
from parley.memory.codec import Unreadable
from parley.memory.shape import assistant_message, user_message
from parley.memory.store import AgentSessionStore, StoredTurn, TurnMemory
from parley.memory.window import LOW_MARK_PERCENT, Window
from parley.observability import log_keys, logger, traced, turn_ended
from parley.project_variables import renew_environment, secrets_are_old
from parley.repository.database import Database, refusal
from parley.repository.fair_use import UNBOUNDED, UserBudget
from parley.repository.summaries import SummaryRepository
from parley.repository.tool_calls import ToolCallRepository
from parley.repository.transcript import Transcript, TurnView
from parley.repository.turns import RunningTurn, TurnRepository, Usage
from parley.runner.agent_digest import agent_digest
from parley.runner.agent_graph import UnsupportedAgent
from parley.runner.agent_run import AgentRunner, AlreadyNoted, ContextOverflow, RunFailed
from parley.runner.approvals import Paused
from parley.runner.prepare import prepare
from parley.store_threads import begin_call
from parley.threads import in_thread, in_thread_with_retry
from parley.timing import APPROVAL_SECONDS, LONGEST_DELAY_SECONDS
from parley.tracing import subsegment
from parley.turns.attempt import Attempt
from parley.turns.budget import TurnBudget
from parley.turns.caps import Caps, ServerLimits
from parley.turns.context import TurnContext
from parley.turns.finalize import Finalizer, release, usage_of
from parley.turns.lease import held
from parley.turns.pause import pause
from parley.turns.wakeup import Waker, retry_seconds

MISCONFIGURED_ATTEMPTS = 10
"""How many tries a turn has while a store is misconfigured: with ever longer pauses, that is an
hour and a quarter in which somebody can mend it."""

_DAMAGED = "What an earlier attempt had kept cannot be read any more."
_UNDONE = (
    "The turn had ended, but the database was restored to a moment before that, and what its tools"
    " had done there is gone."
)
_DECIDED_OTHERWISE = (
    "The turn had gone on by another decision, but the database was restored to a moment before"
    " that."
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one attempt may take.

    Attributes:
        turn_seconds: How long it may run before the turn fails.
        crashes: How many attempts of a turn may die before it fails.
        memory_items: How many of the SDK's items the agent is shown of the past.
        memory_bytes: How many bytes they may come to.
        memory_low_mark: How many percent of both are left once one is exceeded.
        caps: How much a turn may add to what the model is told.
        budget: What the turn may spend on the model.
        user_budget: What its user may; `turns` has it too, which holds it.
        servers: What MCP servers may take.
        approval_seconds: In how many seconds what it asks for expires.
    """

    turn_seconds: float
    crashes: int
    memory_items: int
    memory_bytes: int = 1_000_000
    memory_low_mark: int = LOW_MARK_PERCENT
    caps: Caps = field(default_factory=Caps)
    budget: TurnBudget = field(default_factory=TurnBudget)
    user_budget: UserBudget = UNBOUNDED
    servers: ServerLimits = field(default_factory=ServerLimits)
    approval_seconds: float = APPROVAL_SECONDS


@dataclass(frozen=True, slots=True)
class TurnExecutor:
    """Carries out begun turns.

    Attributes:
        summarised: Of which agents' sessions summaries are made, and shown.
    """

    database: Database
    turns: TurnRepository
    transcript: Transcript
    tool_calls: ToolCallRepository
    store: AgentSessionStore
    load_agent: Callable[[str], Agent[TurnContext]]
    runner: AgentRunner
    limits: Limits
    waker: Waker = field(default_factory=Waker)
    open_log: Callable[[], EventLog] | None = None
    make_context: Callable[[str, TurnContext], Any] = lambda _, turn: turn
    fanout: FanOut = field(default_factory=FanOut)
    summaries: SummaryRepository | None = None
    summarised: Collection[str] = ()

    async def execute(
        self,
        turn: RunningTurn,
        first_read: Awaitable[Sequence[StoredTurn]],
        *,
        seconds: float,
        logged: bool = False,
        taken: Callable[[], object] = lambda: None,
        comes_back: bool = False,
    ) -> TurnView:
        """Bring a turn that this process holds to its end.

        Args:
            turn: The turn, as begin gave it.
            first_read: What is being read of the session's memory meanwhile; always awaited.
            seconds: How long from now the invocation can hold the turn.
            logged: Whether a log of the turn's events is kept. Later attempts keep one in any case:
                somebody may follow what the first began.
            taken: Is called when the store has taken the turn too: whenever its log is written.
                At once, where none is kept.
            comes_back: Whether the caller's wake-up is delivered again if the process dies, or if
                this raises an error that is not among those below.

        Returns:
            The turn as it ended: completed, or failed or cancelled with a reason; or `waiting`.

        Raises:
            Fenced: The attempt was replaced, or the turn stopped or deleted: look at it anew.
            TurnUnfinished: Time was up; the turn was released and goes on in another attempt.
            StoreUnavailable: A store cannot serve; the turn was released, and a worker is woken for
                it, later each time.
        """
        log_keys(session_id=str(turn.session_id), turn_id=str(turn.id))
        attempt = Attempt(
            turn,
            self.database,
            self.turns,
            self.tool_calls,
            self.store,
            self.waker,
            self.limits.caps,
            self.limits.budget,
            self.limits.user_budget,
            self.limits.servers,
        )
        if comes_back:
            attempt.watchdog.armed_elsewhere()
        attempt.watchdog.arm()
        if self.open_log is not None and (logged or turn.attempt > 1):
            attempt.event_writer = EventWriter(
                self.open_log(), self.fanout, attempt.lease, attempt.journal.records, taken
            )
        else:
            taken()
        started = time.monotonic()
        outcome = "released"
        try:
            with subsegment("turn", **_ids(turn)):
                view = await self._ended(attempt, first_read, seconds)
            outcome = view.turn.status
        except Fenced:
            outcome = "replaced"
            # If Postgres knows of nobody else it was restored, and the store knows of later
            # attempts: the next one is one nearer to them. Each waits a second longer, should a
            # store fence for another reason.
            if await release(self.turns, turn):
                delay = min(turn.tries - 1, LONGEST_DELAY_SECONDS)
                await self.waker.wake(turn.session_id, user_id=turn.user_id, delay=delay)
            raise
        except StoreUnavailable:
            outcome = "unavailable"
            # A tool that is always too slow would be tried for ever and block its session.
            await self._let_go(
                attempt, crashed=attempt.effects.overran, delay=retry_seconds(turn.tries)
            )
            raise
        except (TurnUnfinished, asyncio.CancelledError):
            await self._let_go(attempt)
            raise
        except Exception:
            # A defect: it counts, or the turn would be tried for ever and block its session.
            if comes_back:
                known = attempt.spending.known
                await release(self.turns, attempt.turn, crashed=True, known=known)
            else:
                await self._let_go(attempt, crashed=True, delay=retry_seconds(turn.tries))
            raise
        finally:
            await attempt.watchdog.settle()
            turn_ended(
                outcome=outcome,
                agent=turn.agent,
                seconds=time.monotonic() - started,
                usage=attempt.journal.usage,
            )
        return view

    async def _let_go(self, attempt: Attempt, *, crashed: bool = False, delay: int = 0) -> None:
        """Let the next attempt have the turn, and wake a worker for it."""
        turn = attempt.turn
        await release(self.turns, turn, crashed=crashed, known=attempt.spending.known)
        await self.waker.wake(turn.session_id, user_id=turn.user_id, delay=delay)

    @property
    def _finalizer(self) -> Finalizer:
        return Finalizer(self.turns, self.transcript, self.waker)

    async def _ended(
        self, attempt: Attempt, first_read: Awaitable[Sequence[StoredTurn]], seconds: float
    ) -> TurnView:
        """Bring a turn to its end, also if a store will not take what it has to write.

        Raises:
            StoreMisconfigured: The turn is to be tried again, when somebody may have mended it.
        """
        turn = attempt.turn
        try:
            if turn.crashes > 2 * self.limits.crashes and not turn.cancel_requested:
                # To give it up has crashed as often as it may itself: memory is left out of it.
                with suppress(Exception):
                    await first_read
                return await self._fail(attempt, _crashed(turn))
            return await self._bring_to_end(attempt, await first_read, seconds)
        except DBAPIError as error:
            refused: Exception = refusal(error)
            refused.__cause__ = error
        except (StoreRefused, StoreMisconfigured) as error:
            refused = error
        if isinstance(refused, StoreMisconfigured) and turn.tries < MISCONFIGURED_ATTEMPTS:
            raise refused
        return await self._finalizer.give_up(attempt, refused)

    async def _bring_to_end(
        self, attempt: Attempt, first_read: Sequence[StoredTurn], seconds: float
    ) -> TurnView:
        turn, limits = attempt.turn, self.limits
        if turn.cancel_requested:  # by somebody who died, or whom a store failed
            return await self._finalizer.cancel(attempt)
        try:
            if turn.attempt > 1 and (finished := await self._take_over(attempt)) is not None:
                return await self._finalizer.complete(attempt, finished)
            if secrets_are_old():
                await begin_call(renew_environment)
            agent = self._agent(attempt)
            window = await in_thread_with_retry(self._window, attempt, first_read)
            if attempt.event_writer is not None:
                await attempt.event_writer.begin(attempt.decisions.values())
            memory = await held(
                self._run(agent, attempt, window),
                attempt.lease,
                seconds=min(seconds, limits.turn_seconds),
                beside=attempt.event_writer.keep() if attempt.event_writer is not None else None,
            )
        except RunFailed as failure:
            return await self._fail(attempt, failure)
        except Paused as paused:
            return await pause(
                self.database, attempt, paused.asked, expires_in=limits.approval_seconds
            )
        except TimeoutError as error:
            if seconds < limits.turn_seconds:
                raise TurnUnfinished(turn.session_id, turn.id) from error
            detail = f"The turn was stopped after {limits.turn_seconds:g} seconds."
            return await self._fail(attempt, RunFailed("turn_too_long", detail))
        if attempt.event_writer is not None:
            # An attempt that goes on from a finished memory runs nothing, and could not tell of it.
            await attempt.event_writer.settle()
        await attempt.journal.finish(memory)
        attempt.window_from = window.begins_at
        view = await self._finalizer.complete(attempt, memory)
        if window.to_write_back:
            await self._write_back(attempt, window.to_write_back)
        if window.begins_at is not None:
            await self._prune(attempt, window.begins_at)
        if turn.agent in self.summarised:
            await self._have_summarised(turn, window)
        return view

    async def _take_over(self, attempt: Attempt) -> TurnMemory | None:
        """Claim what earlier attempts left, and return their memory if one of them had finished."""
        turn = attempt.turn
        try:
            claimed = await attempt.journal.claim_memory()
        except Unreadable as error:
            # Without its records the run could only start afresh, over effects that happened.
            raise RunFailed("memory_unreadable", _DAMAGED) from error
        attempt.journal.resume(claimed.records, await attempt.journal.recorded())
        if turn.pauses:
            await attempt.read_decisions()
        attempt.journal.finished = claimed.done is not None
        if claimed.done is not None:
            left = claimed.done.memory
            if left is None:
                raise RunFailed("memory_unreadable", _DAMAGED)
            if left.tool_calls > len(attempt.journal.outputs):
                raise RunFailed("database_restored", _UNDONE)
            if left.reply is not None and attempt.journal.decided_otherwise(left):
                raise RunFailed("database_restored", _DECIDED_OTHERWISE)
            if left.reply is None:  # the note of an attempt that died while it failed the turn
                attempt.journal.usage = usage_of(left)
                raise AlreadyNoted(left.items[-1]["content"])
            return left
        if attempt.journal.decided_otherwise(None):
            raise RunFailed("database_restored", _DECIDED_OTHERWISE)
        if attempt.journal.outputs.keys() - attempt.journal.call_ids:
            # Records that are gone, as after a restored backup: asked afresh, the model would
            # call again what has happened.
            raise RunFailed("memory_unreadable", _DAMAGED)
        if turn.crashes >= self.limits.crashes:
            raise _crashed(turn)
        return None

    async def _run(self, agent: Agent[TurnContext], attempt: Attempt, window: Window) -> TurnMemory:
        """Run the agent; again, with half of the past, each time that the model says too much."""
        while True:
            items = window.items
            try:
                return await self.runner.run(agent, attempt, items)
            except ContextOverflow:
                if not window.halve():
                    raise
                logger().warning("the model was shown half of the past", items=len(window.items))
                attempt.journal.rewind()

    def _agent(self, attempt: Attempt) -> Agent[TurnContext]:
        building = True
        try:
            agent = self.load_agent(attempt.turn.agent)
            prepare(agent)
            attempt.journal.digest = agent_digest(agent)
            building = False
            attempt.give_context(self._context(attempt))
        except NotFound as error:
            detail = f"The agent {attempt.turn.agent} is not offered any more."
            raise RunFailed("agent_not_offered", detail) from error
        except UnsupportedAgent as error:
            raise RunFailed("agent_not_supported", str(error), quoting=True) from error
        except StoreUnavailable:
            raise  # a secret that its code reads could not be fetched
        except Exception as error:
            # A defect of the agent's own: it must not block the session, nor hide.
            what = "built" if building else "given its context"
            detail = f"The agent cannot be {what}: {type(error).__name__}."
            raise RunFailed("agent_failed", detail, quoting=building) from error
        return agent

    def _context(self, attempt: Attempt) -> Any:
        made = self.make_context(attempt.turn.agent, attempt.context)
        if inspect.iscoroutine(made):
            made.close()
            raise UnsupportedAgent(
                "The agent's context() is an async function; it must be an ordinary one that"
                " returns the context."
            )
        return made

    def _window(self, attempt: Attempt, first_read: Sequence[StoredTurn]) -> Window:
        def rebuild(numbers: Sequence[int]) -> Mapping[int, TurnMemory]:
            turn = attempt.turn
            told = self.transcript.of_turns(
                turn.user_id, turn.session_id, numbers, max_bytes=self.limits.memory_bytes
            )
            return {number: _rebuilt(view, calls) for number, (view, calls) in told.items()}

        window = Window(
            self.store,
            attempt.journal.conversation,
            attempt.turn.remembered,
            first_read,
            max_items=self.limits.memory_items,
            max_bytes=self.limits.memory_bytes,
            low_mark_percent=self.limits.memory_low_mark,
            rebuild=rebuild,
            summary=attempt.turn.summary if attempt.turn.agent in self.summarised else None,
            own_call_ids=attempt.journal.call_ids,
        )
        if window.rebuilt:
            logger().warning("memory rebuilt from the transcript", turns=window.rebuilt)
        return window

    async def _fail(self, attempt: Attempt, failure: RunFailed) -> TurnView:
        # The detail is in the turn; here it could quote what was said.
        logger().warning(
            "turn failed",
            code=failure.code,
            agent=attempt.turn.agent,
            **traced(failure.__cause__, quoting=failure.quoting),
        )
        noted = isinstance(failure, AlreadyNoted)
        return await self._finalizer.stop(
            attempt, "failed", failure.code, failure.detail, noted=noted
        )

    async def _write_back(self, attempt: Attempt, turns: Sequence[StoredTurn]) -> None:
        """Keep what the store had lost, or was about to lose, for the turns to come.

        Otherwise each of them would take it from the transcript. Nobody believes it if the session
        was made to forget meanwhile.
        """
        try:
            await in_thread(self.store.write_back, attempt.journal.conversation, turns)
        except (StoreUnavailable, StoreRefused, StoreMisconfigured) as error:
            logger().warning("memory was not written back; a later turn does", reason=str(error))

    async def _prune(self, attempt: Attempt, keep_from: int) -> None:
        try:
            await in_thread(self.store.forget_before, attempt.journal.conversation, keep_from)
        except StoreUnavailable as error:
            logger().warning("memory was not pruned; a later turn does", reason=str(error))

    async def _have_summarised(self, turn: RunningTurn, window: Window) -> None:
        """Wake a worker if the window has left turns behind that no summary covers.

        If nobody comes, the next turn wakes another: all that is missing until then is the summary.
        """
        lost = turn.summary if window.summary_lost else None
        if lost is not None and self.summaries is not None:
            logger().warning("a summary is lost, and is made anew from the transcript")
            try:
                await in_thread(self.summaries.lose, turn.user_id, turn.session_id, lost)
            except StoreUnavailable as error:
                logger().warning("a later turn has it made anew", reason=str(error))
        if window.begins_at is not None or turn.summary_due or lost is not None:
            await self.waker.wake(turn.session_id, user_id=turn.user_id)


def _crashed(turn: RunningTurn) -> RunFailed:
    return RunFailed("turn_crashed", f"The turn was given up after {turn.crashes} crashes.")


def _ids(turn: RunningTurn) -> dict[str, str | int]:
    """Return what a trace of the turn is found by."""
    return {
        "session_id": str(turn.session_id),
        "turn_id": str(turn.id),
        "attempt": turn.attempt,
        "agent": turn.agent,
    }


def _rebuilt(view: TurnView, tool_calls: int) -> TurnMemory:
    turn, reply = view.turn, None if view.reply is None else view.reply.content
    answer = reply if reply is not None else turn.error_detail or ""
    usage = Usage().plus(turn.spent)
    items = [assistant_message(answer)]
    if view.user_message is not None:
        items.insert(0, user_message(view.user_message.content))
    return TurnMemory(items, reply, usage.counts(), tool_calls)
