"""One attempt at a turn: what a process holds while it runs the agent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from parley.events.writer import EventWriter
from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore
from parley.repository.approvals import Approval, of_running
from parley.repository.database import Database
from parley.repository.fair_use import UNBOUNDED, UserBudget
from parley.repository.tool_calls import ToolCallRepository
from parley.repository.turns import RunningTurn, TurnRepository
from parley.threads import in_thread_with_retry
from parley.turns.budget import BudgetExceeded, TurnBudget, TurnSpending, no_room
from parley.turns.caps import Caps, ServerLimits
from parley.turns.context import TurnContext
from parley.turns.effects import Effects
from parley.turns.journal import Journal
from parley.turns.lease import Lease
from parley.turns.own_context import OwnContext
from parley.turns.wakeup import Waker, Watchdog
from parley.usage.prices import Prices

_CAPS = Caps()
_BUDGET = TurnBudget()
_SERVER_LIMITS = ServerLimits()
_DIGITS = 16
"""Of a digest, which is compared with others of one call only: each answer is kept with all."""


_MUCH_LARGER, _MUCH_MORE = 2, 4_096
"""How often as much as was held a first call is expected to take, and how many tokens more, before
it is asked for: its begin knew neither the agent's instructions nor what memory holds."""


class Attempt:
    """One process's try at running a turn.

    Attributes:
        lease: Its right to the turn.
        journal: What is recorded of the turn, and replayed.
        effects: Runs tools that work in Postgres.
        spending: What it has spent on the model, of what it may.
        watchdog: Has a worker look if the attempt dies.
        event_writer: Keeps the turn's event log; None where nobody follows it.
        context: What tools are told of the turn.
        own: The agent's own context; `context`, where it has none.
        prices: What the agent's models cost.
        server_limits: What MCP servers may take.
        decisions: What the turn has asked for before, by call id.
        policies: Who may approve calls that need it, by call id.
        waiting_inside: Calls inside which a run has stopped for approval.
        window_from: Where the window begins that its run was shown, if it has moved.
        model_error: What the model last failed with.
        refused: Why a run inside the run, which only its tool has heard of, was not made, or not
            to its end.
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
        budget: TurnBudget = _BUDGET,
        user_budget: UserBudget = UNBOUNDED,
        server_limits: ServerLimits = _SERVER_LIMITS,
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
            budget: What the turn may spend on the model.
            user_budget: What its user may, and all together.
            server_limits: What MCP servers may take.
        """
        conversation = conversation_key(turn.user_id, turn.session_id)
        self.watchdog = Watchdog(waker or Waker(), turn.session_id, turn.user_id)
        self.lease = Lease(turn, turns, self.watchdog)
        self.journal = Journal(self.lease, conversation, store, tool_calls, caps)
        self.effects = Effects(self.lease, self.journal, database, tool_calls)
        self.spending = TurnSpending(budget)
        self.server_limits = server_limits
        self._of_user = user_budget
        self._first_held = turn.first_held
        self._holding = asyncio.Lock()
        self.event_writer: EventWriter | None = None
        self.context = TurnContext(turn.user_id, turn.session_id, turn.id)
        self.own: Any = self.context
        self.prices = Prices()
        self.window_from: int | None = None
        self.decisions: Mapping[str, Approval] = {}
        self._database = database
        self.policies: dict[str, Any] = {}
        self.waiting_inside: set[str] = set()
        self.model_error: Exception | None = None
        self.refused: Exception | None = None

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters how many tokens a call of the model is taken to come to."""
        return self._has_budget or self.spending.counts_tokens

    @property
    def counts_money(self) -> bool:
        """Whether it matters what a call of the model costs."""
        return self._of_user.counts_money or self.lease.counts_money or self.spending.counts_money

    @property
    def _has_budget(self) -> bool:
        return self._of_user.is_set or self.lease.has_budget

    async def read_decisions(self) -> None:
        """Read what was decided on the calls of a turn that goes on.

        Raises:
            StoreUnavailable: Postgres cannot serve now.
        """
        self.decisions = await in_thread_with_retry(of_running, self._database, self.lease.turn)
        self.journal.decided = {
            call_id: each.digest[:_DIGITS] if each.status == "approved" else None
            for call_id, each in self.decisions.items()
            if each.status != "open"
        }

    async def allow_call(self) -> None:
        """Make sure that a call of the model may be made, which is held in `spending` already.

        The first call of a turn is held by the statement that begins it, unless it turns out to be
        much larger than was expected then. Calls at once come here one after the other: each tells
        Postgres of all that are made then.

        Raises:
            BudgetExceeded: The budget of its user, or of all, has no room for it.
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: Postgres cannot serve now.
        """
        first, self._first_held = self._first_held, 0
        if not self._has_budget or self._is_held(first):
            await self.lease.ensure_held()
            return
        async with self._holding:
            spending = self.spending
            reached = await self.lease.hold_tokens(
                held=spending.tokens_held,
                spent=spending.tokens,
                held_cost=spending.cost_held,
                spent_cost=spending.cost,
            )
        if reached is not None:
            raise BudgetExceeded(reached.limit, no_room(reached))

    def _is_held(self, first: int) -> bool:
        """Return whether what a begin has held for the first call is about what that is to take."""
        most = max(_MUCH_LARGER * first, first + _MUCH_MORE)
        return first > 0 and self.spending.tokens_held <= most

    @property
    def turn(self) -> RunningTurn:
        """The turn, with the number of the attempt."""
        return self.lease.turn

    def give_context(self, own: Any) -> None:
        """Have the run given the agent's own context."""
        self.own, self.journal.own = own, OwnContext(own)


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
