"""The wake queue: a list of wake-ups, until a schedule delivers or loses them."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from uuid import UUID

from parley.timing import CRASH_SECONDS


@dataclass(frozen=True)
class Bell:
    """A message of the queue: the session, and the seconds after which it is to come."""

    session_id: UUID
    delay: int


class Bells:
    """Wake-ups that were not yet taken, in the order in which they were sent."""

    def __init__(self) -> None:
        self._armed: list[Bell] = []
        self._lock = Lock()

    def wake(self, session_id: UUID, *, delay: int = 0, user_id: str | None = None) -> None:
        """Keep a message; what `WakeQueue` asks for."""
        with self._lock:
            self._armed.append(Bell(session_id, delay))

    def __len__(self) -> int:
        return len(self._armed)

    def take(self, which: int, *, twice: bool = False) -> Bell:
        """Deliver one of them, whichever; if twice, it will come once more."""
        with self._lock:
            place = which % len(self._armed)
            return self._armed[place] if twice else self._armed.pop(place)

    def put_back(self, bell: Bell) -> None:
        """Have a message that was not dealt with come again."""
        self.wake(bell.session_id, delay=bell.delay)

    def take_all(self, session_id: UUID) -> list[Bell]:
        """Deliver all wake-ups of a session."""
        with self._lock:
            taken = [bell for bell in self._armed if bell.session_id == session_id]
            self._armed = [bell for bell in self._armed if bell.session_id != session_id]
        return taken

    def sessions(self) -> set[UUID]:
        """Return the sessions that a worker will look at, not only in case that an attempt dies."""
        with self._lock:
            return {bell.session_id for bell in self._armed if bell.delay < CRASH_SECONDS}
