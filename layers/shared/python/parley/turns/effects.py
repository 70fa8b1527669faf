"""A tool's transaction: its effect and its recorded output are committed together, once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from parley.errors import Fenced, StoreUnavailable
from parley.failpoints import failpoint
from parley.memory.codec import Unreadable
from parley.repository.database import IDLE_TOO_LONG, QUERY_CANCELED, Database
from parley.repository.scope import OfUser
from parley.repository.tool_calls import (
    AlreadyRecorded,
    Called,
    ToolCall,
    ToolCallRepository,
    record_in,
)
from parley.retry import with_retry
from parley.threads import OwnThreads, to_its_end
from parley.timing import BODY_SECONDS
from parley.turns.context import Effect, TurnContext
from parley.turns.journal import Journal
from parley.turns.lease import Lease

# Two tools of one turn on a small pool deadlocked the loop, so bodies that hold a connection run
# one after another, in one thread (turn-protocol, section 6).
_BODIES = OwnThreads("parley-tool", at_once=1)


os.register_at_fork(after_in_child=_BODIES.leave)  # which has none of its parent's threads


class Effects:
    """Runs the bodies of a turn's tools that work in Postgres, for one attempt.

    Attributes:
        overran: Whether a tool's statement took longer than a statement may.
    """

    def __init__(
        self, lease: Lease, journal: Journal, database: Database, tool_calls: ToolCallRepository
    ) -> None:
        """Keep what is needed.

        Args:
            lease: The attempt's, which every transaction asks.
            journal: Keeps the outputs.
            database: Where tools have their effects.
            tool_calls: Where outputs are recorded.
        """
        self.overran = False
        self._lease = lease
        self._journal = journal
        self._database = database
        self._tool_calls = tool_calls
        self._one_body = asyncio.Lock()
        self._body: asyncio.Future[ToolCall] | None = None
        self._ending = False

    async def in_transaction(
        self, called: Called, body: Callable[[Effect], Any], *, own: Any = None, changes: bool
    ) -> Any:
        """Run a tool's body and record its output in one transaction.

        If Postgres cannot serve, or refuses to serialize, all of it is done again, the body too.

        Args:
            called: The call.
            body: Does the tool's work and gives its output, a JSON value.
            own: The agent's own context.
            changes: Whether the tool changes something.

        Returns:
            The body's output.

        Raises:
            Fenced: This attempt was replaced, or the turn is over; nothing was changed.
            StoreUnavailable: Postgres cannot serve now.
            Exception: Whatever the body raises; nothing was changed.
        """
        turn = self._lease.turn
        user = TurnContext(turn.user_id, turn.session_id, turn.id)

        def transaction() -> ToolCall:
            with self._database.transaction(OfUser(turn.user_id)) as connection:
                effect = Effect(
                    connection,
                    user.user_id,
                    user.session_id,
                    user.turn_id,
                    called.call_id,
                    own,
                )
                call = self._journal.answer(called, body(effect), effect=changes)
                failpoint(f"inside the transaction of {called.name}")
                record_in(connection, turn, call)
                failpoint(f"before the commit of {called.name}")
            failpoint(f"after the commit of {called.name}")
            return call

        def recorded() -> ToolCall | None:
            return self._tool_calls.of_turn(turn).get(called.call_id)

        failed = False

        def once() -> ToolCall:
            nonlocal failed
            if failed and self._ending:  # nobody waits for it any more
                raise Fenced(turn.number, turn.attempt)
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
            await self._lease.ensure_held()
            if self._ending:
                raise Fenced(turn.number, turn.attempt)
            try:
                self._body = _BODIES.begin(lambda: with_retry(once))
                call = await self._lease.guard(to_its_end(self._body, patience=BODY_SECONDS))
            except StoreUnavailable as error:
                self.overran = error.reason in (QUERY_CANCELED, IDLE_TOO_LONG)
                raise
        self._journal.outputs[call.call_id] = call
        return call.output

    async def made(self) -> list[ToolCall]:
        """Return the calls that changed something, when no more can be added to them.

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
        recorded = await self._journal.recorded()
        return [call for call in recorded.values() if call.effect]

    async def _leave_behind(self) -> None:
        """Go on as another attempt, without the body that does not end."""
        await self._lease.fence()
        _BODIES.leave()
        with suppress(Unreadable):  # nothing of it is needed
            await self._journal.claim_memory()
