"""The wake queue: a list of wake-ups, until a schedule delivers or loses them."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from uuid import UUID

from parley.timing import CRASH_SECONDS


@dataclass(frozen=True)
class Wakeup:
    """A message of the queue: the session, and the seconds after which it is to come."""

    session_id: UUID
    delay: int


class Wakeups:
    """Wake-ups that were not yet taken, in the order in which they were sent."""

    def __init__(self) -> None:
        self._armed: list[Wakeup] = []
        self._lock = Lock()

    def wake(self, session_id: UUID, *, delay: int = 0, user_id: str | None = None) -> None:
        """Keep a message; what `WakeQueue` asks for."""
        with self._lock:
            self._armed.append(Wakeup(session_id, delay))

    def __len__(self) -> int:
        return len(self._armed)

    def take(self, which: int, *, twice: bool = False) -> Wakeup:
        """Deliver one of them, whichever; if twice, it will come once more."""
        with self._lock:
            place = which % len(self._armed)
            return self._armed[place] if twice else self._armed.pop(place)

    def put_back(self, wakeup: Wakeup) -> None:
        """Have a message that was not dealt with come again."""
        self.wake(wakeup.session_id, delay=wakeup.delay)

    def take_all(self, session_id: UUID) -> list[Wakeup]:
        """Deliver all wake-ups of a session."""
        with self._lock:
            taken = [wakeup for wakeup in self._armed if wakeup.session_id == session_id]
            self._armed = [wakeup for wakeup in self._armed if wakeup.session_id != session_id]
        return taken

    def sessions(self) -> set[UUID]:
        """Return the sessions that a worker will look at, not only in case that an attempt dies."""
        with self._lock:
            return {wakeup.session_id for wakeup in self._armed if wakeup.delay < CRASH_SECONDS}
