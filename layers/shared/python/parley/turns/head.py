"""Carrying on a session: the head of its queue is claimed and brought to its end."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from parley.memory.store import AgentSessionStore
from parley.observability import logger
from parley.repository.turns import RunningTurn, TurnRepository
from parley.turns.first_read import read_newest
from parley.turns.send import Carrier
from parley.turns.threads import in_thread


@dataclass(frozen=True, slots=True)
class HeadRunner:
    """Carries on sessions of which a doorbell or the recovery says that something waits there."""

    turns: TurnRepository
    store: AgentSessionStore
    carrier: Carrier
    window: int

    async def carry_on(self, session_id: UUID, *, seconds: float) -> bool:
        """Bring the first open turn of a session to its end, if nobody else runs it.

        Args:
            session_id: The session.
            seconds: How long this invocation can hold the turn.

        Returns:
            Whether it did.

        Raises:
            Exception: As `claim` and `carry_out` do.
        """
        turn = await self.claim(session_id)
        if turn is None:
            return False
        await self.carry_out(turn, seconds=seconds)
        return True

    async def claim(self, session_id: UUID) -> RunningTurn | None:
        """Take the first open turn of a session; None if there is none, or somebody runs it.

        What waits in a session that is not active is failed, and the next one taken.

        Raises:
            StoreUnavailable: Postgres cannot serve now; the session must be looked at again.
        """
        while True:
            # Not patiently: of a turn that this took without being told it would not know.
            claim = await in_thread(self.turns.claim_head, session_id)
            logger().info("looked at a session", session_id=str(session_id), found=claim.outcome)
            if claim.outcome != "refused":
                return claim.turn

    async def carry_out(self, turn: RunningTurn, *, seconds: float) -> None:
        """Bring a turn that was claimed to its end. Who ends it rings for the one behind it.

        Raises:
            Fenced: Somebody else took the turn meanwhile, or stopped it.
            TurnUnfinished: Time was up; the turn was released, and rung for.
            StoreUnavailable: A store cannot serve now; the turn was released, and rung for.
        """
        reading = read_newest(self.store, turn.user_id, turn.session_id, self.window)
        await self.carrier.carry_out(turn, reading, seconds=seconds, logged=True)
