"""The begin statement: one round trip that numbers a turn, or says why not.

It answers one of the protocol's outcomes (turn-protocol, section 1), and stands whole in
`sql/begin_by_id.sql` and `sql/begin_by_name.sql`, for the two ways to find the session.
"""

from __future__ import annotations

from parley.repository.statements import statement

MAX_QUEUED = 20
"""How many turns may wait on a session."""

PACE_TURNS = 5
"""Of how many completed turns the fastest says how long one takes at least."""

BEGIN_BY_ID = statement("begin_by_id")
BEGIN_BY_NAME = statement("begin_by_name")
