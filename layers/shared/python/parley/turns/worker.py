"""Carrying on a session: the head of its queue is claimed and brought to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from uuid import UUID

from parley.errors import StoreUnavailable
from parley.memory.store import AgentSessionStore
from parley.observability import logger
from parley.repository.turns import HeadClaim, RunningTurn, TurnRepository
from parley.threads import in_thread
from parley.timing import LONGEST_DELAY_SECONDS
from parley.turns.first_read import read_newest
from parley.turns.send import Executor
from parley.turns.wakeup import Waker


@dataclass(frozen=True, slots=True)
class SessionWorker:
    """Carries on sessions of which a wake-up says that something waits there."""

    turns: TurnRepository
    store: AgentSessionStore
    executor: Executor
    window: int
    waker: Waker = field(default_factory=Waker)
    window_bytes: int = 1_000_000

    async def run_next(self, session_id: UUID, *, seconds: float) -> bool:
        """Bring the first open turn of a session to its end, if nobody else runs it.

        Args:
            session_id: The session.
            seconds: How long this invocation can hold the turn.

        Returns:
            Whether it did.

        Raises:
            Exception: As `claim` and `execute` do.
        """
        turn = await self.claim(session_id)
        if turn is None:
            return False
        await self.execute(turn, seconds=seconds)
        return True

    async def claim(self, session_id: UUID) -> RunningTurn | None:
        """Take the first open turn of a session; None if there is none, or somebody runs it.

        What waits in a session that is not active is failed, and the next one taken. If somebody
        runs the turn, a worker is woken when the lease is over: who runs it may have died, and may
        have left no wake-up.

        Raises:
            StoreUnavailable: Postgres, or the queue, cannot serve now; the session must be looked
                at again.
        """
        while True:
            # Without retry: a second try would not know of a turn that the first took unseen.
            claim = await in_thread(self.turns.claim_head, session_id)
            logger().info("looked at a session", session_id=str(session_id), found=claim.outcome)
            if claim.outcome == "held":
                await self._wake_again(session_id, claim)
            if claim.outcome != "refused":
                return claim.turn

    async def _wake_again(self, session_id: UUID, claim: HeadClaim) -> None:
        delay = min(ceil(claim.left) + 1, LONGEST_DELAY_SECONDS)
        user_id = claim.user_id or str(session_id)
        woken = await self.waker.wake(session_id, user_id=user_id, delay=delay)
        if not woken and self.waker.wake_queue is not None:
            raise StoreUnavailable("queue", "nobody is woken for a turn that is held")

    async def execute(self, turn: RunningTurn, *, seconds: float, comes_back: bool = False) -> None:
        """Bring a turn that was claimed to its end. Whoever ends it wakes one for the next.

        Args:
            turn: The turn.
            seconds: How long this invocation can hold it.
            comes_back: Whether the wake-up that was answered is delivered again if the process
                dies, or this raises another error than those below.

        Raises:
            Fenced: Somebody else took the turn meanwhile, or stopped it.
            TurnUnfinished: Time was up; the turn was released, and a worker woken.
            StoreUnavailable: A store cannot serve now; the turn was released, and a worker woken.
        """
        reading = read_newest(
            self.store, turn.user_id, turn.session_id, self.window, self.window_bytes
        )
        await self.executor.execute(
            turn, reading, seconds=seconds, logged=True, comes_back=comes_back
        )
