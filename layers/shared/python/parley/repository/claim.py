"""The claim statement: one round trip with which a worker takes the head of a session's queue.

The head is the open turn of the lowest number: a turn runs only when all before it are over, so no
other can be running behind it. It stands whole in `sql/claim.sql`.
"""

from __future__ import annotations

from parley.repository.statements import statement

NOT_ACTIVE = "session_not_active"
"""The error code of a turn that waited in a session that runs no turns any more."""

CLAIM = statement("claim")
