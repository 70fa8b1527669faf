"""The streams that users hold: each takes a process for as long as its reader is told something.

A place is taken in the statement that a stream asks Postgres first anyway: the one that begins its
turn, or the one that looks for the turn to be followed. It is left when the stream is over, and is
free again at its time if the process died before that.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import CTE, Label, TextClause, column, select, text

from parley.errors import LimitReached
from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley.repository.statements import statement

LIMIT = "user_max_streams"


@dataclass(frozen=True, slots=True)
class Place:
    """A place among the streams that one user may hold.

    Attributes:
        id: Of this stream alone: to take it again is to have it.
        most: How many there are.
        seconds: After how long it is free in any case.
    """

    id: UUID
    most: int
    seconds: float

    def parameters(self) -> dict[str, object]:
        """Return what statements are given of it."""
        return {"stream": str(self.id), "max_streams": self.most, "stream_seconds": self.seconds}

    def refusal(self, frees: float) -> LimitReached:
        """Return what a reader is told who gets none, when the first is free after so long."""
        return LimitReached(LIMIT, self.most, frees)


NO_PLACE: dict[str, object] = {"stream": None, "stream_seconds": 0.0}
"""What a statement is given that takes none."""


class StreamPlaces:
    """Where places are left. Methods block, and raise `StoreUnavailable`."""

    def __init__(self, database: Database, most: int = 0) -> None:
        """Keep the way to Postgres, and how many streams one user may hold; 0 is any number."""
        self._database = database
        self.most = most

    def leave(self, user_id: str, place: Place) -> None:
        """Let another stream of the user's have the place; it may be repeated."""
        parameters = {"user_id": user_id, "stream": str(place.id)}
        self._database.run(OfUser(user_id), _LEAVE, parameters)


def taking() -> CTE:
    """Return what takes a place beside a query that has the turn, with its user, as `wanted`.

    It has a row if there was a place.
    """
    return _TAKE.columns(column("user_id")).cte("placed")


def placed_in(placed: CTE) -> Label[bool]:
    """Return the column that tells whether there was a place."""
    return select(placed.c.user_id).exists().label("placed")


def frees_in(user_id: str) -> TextClause:
    """Return the column that tells in how many seconds the first of a user's places is free."""
    return _FREES.bindparams(owner=user_id)


# The row of the user's is locked when its places are counted. What is there of processes that died
# is passed over when its time is up, and a place that is had already is had again.
_TAKE = text("""
INSERT INTO user_limits AS u (user_id, streams)
SELECT wanted.user_id, jsonb_build_object(CAST(:stream AS text),
    extract(epoch FROM clock_timestamp()) + CAST(:stream_seconds AS float))
FROM wanted
ON CONFLICT (user_id) DO UPDATE SET streams = excluded.streams || coalesce((
    SELECT jsonb_object_agg(s.key, s.value) FROM jsonb_each(u.streams) s
    WHERE s.key <> :stream AND s.value::float > extract(epoch FROM clock_timestamp())), '{}')
  WHERE (SELECT count(*) FROM jsonb_each(u.streams) s
    WHERE s.key <> :stream AND s.value::float > extract(epoch FROM clock_timestamp()))
    < :max_streams
RETURNING u.user_id
""")
_FREES = text("""(
SELECT min(s.value::float) - extract(epoch FROM clock_timestamp())
FROM user_limits u CROSS JOIN jsonb_each(u.streams) s
WHERE u.user_id = :owner AND s.value::float > extract(epoch FROM clock_timestamp())
)::float AS frees""")
_LEAVE = statement("leave_stream")
