"""When a lease is over, as a condition of statements that have a parameter `lease`, in seconds.

A lease that is further away than a lease can be was given before the database's clock was set
back: it is over as well, or its session would be blocked for as long as the jump. Twice a lease is
further than that, also for a statement whose `now()` is older since it waited for a lock.
"""

from __future__ import annotations


def over(turn: str) -> str:
    """Return the condition that the lease of a row of `turns` is over."""
    expires = f"{turn}.lease_expires_at"
    return f"({expires} < now() OR {expires} > now() + make_interval(secs => 2 * :lease))"
