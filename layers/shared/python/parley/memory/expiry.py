"""How long memory lives: it goes by itself when nobody has used it for long enough.

Each item carries the moment at which it expires, `expires_at` in whole seconds since 1970, which is
the table's time-to-live attribute. DynamoDB removes what has expired within days, and the cleanup
does it in SQLite. Until then a finished turn that has expired reads as absent in both stores, so
that nobody can tell the difference; who may write to it is decided as ever.

What is shown to the agent again is written anew before it expires: see `TimeToLive.ends_soon`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from parley.timing import DAY_SECONDS, OPEN_SECONDS

_LEAST_SLACK_SECONDS = DAY_SECONDS


@dataclass(frozen=True, slots=True)
class TimeToLive:
    """How long memory lives.

    Attributes:
        retention: For how many seconds after a turn the agent remembers, at least.
    """

    retention: float = 7 * DAY_SECONDS

    def of_finished(self) -> int:
        """Return the moment at which a finished turn that is written now expires.

        That is a quarter later than the retention asks for, and a day at least: what a session
        remembers need not be written anew with each of its turns.
        """
        return int(time.time() + self.retention + max(self.retention / 4, _LEAST_SLACK_SECONDS))

    def of_open(self) -> int:
        """Return the moment at which an open turn that is written now expires."""
        return self.of_finished() + int(OPEN_SECONDS)

    def ends_soon(self, expires_at: int | None) -> bool:
        """Return whether what expires then would not live for another retention.

        What has no such moment was written before there was one.
        """
        return expires_at is None or expires_at < time.time() + self.retention


A_WEEK = TimeToLive()
"""What holds where nothing else is said, as the setting's default does."""
