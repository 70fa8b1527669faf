"""The doorbell's queue: a list of what was rung, until a schedule delivers or loses it."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from uuid import UUID

from parley.turns.ringing import CRASH_SECONDS


@dataclass(frozen=True)
class Bell:
    """A message of the queue: the session, and the seconds after which it is to come."""

    session_id: UUID
    delay: int


class Bells:
    """What was rung and not yet taken, in the order in which it was rung."""

    def __init__(self) -> None:
        self._rung: list[Bell] = []
        self._lock = Lock()

    def ring(self, session_id: UUID, *, delay: int = 0, user_id: str | None = None) -> None:
        """Keep a message; what `Doorbell` asks for."""
        with self._lock:
            self._rung.append(Bell(session_id, delay))

    def __len__(self) -> int:
        return len(self._rung)

    def take(self, which: int, *, twice: bool = False) -> Bell:
        """Deliver one of them, whichever; if twice, it will come once more."""
        with self._lock:
            place = which % len(self._rung)
            return self._rung[place] if twice else self._rung.pop(place)

    def put_back(self, bell: Bell) -> None:
        """Have a message that was not dealt with come again."""
        self.ring(bell.session_id, delay=bell.delay)

    def take_all(self, session_id: UUID) -> list[Bell]:
        """Deliver all that were rung for a session."""
        with self._lock:
            taken = [bell for bell in self._rung if bell.session_id == session_id]
            self._rung = [bell for bell in self._rung if bell.session_id != session_id]
        return taken

    def sessions(self) -> set[UUID]:
        """Give the sessions that a worker will look at, not only in case that an attempt dies."""
        with self._lock:
            return {bell.session_id for bell in self._rung if bell.delay < CRASH_SECONDS}
