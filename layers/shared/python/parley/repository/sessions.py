"""Sessions: made, found, listed, changed, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError

from parley.errors import (
    IdempotencyKeyReused,
    LimitReached,
    NameTaken,
    NotFound,
    SessionEscalated,
)
from parley.fingerprints import all_of
from parley.ids import Voucher, conversation_key
from parley.repository.database import Database
from parley.repository.deletion import GRACE, deletion
from parley.repository.fair_use import UNLIMITED, FairUse
from parley.repository.scope import SERVICE, OfSession, OfUser
from parley.repository.statements import statement
from parley.repository.states import OPEN_IN_SQL
from parley.repository.tables import SESSIONS, TOMBSTONES, TURNS, AnyRow
from parley.repository.values import SESSION, Session
from parley.usage.spent import Spent

# With its columns, so that the shape of what it gives is worked out once.
_REACHED = (column("reached", Text), column("most", BigInteger))
_CREATE = statement("create_session").columns(*_REACHED, *SESSION)
_CREATE_BARE = statement("create_bare_session").columns(*_REACHED, *SESSION)


def _known(tokens: Column[int]) -> ColumnElement[int | None]:
    """Sum up tokens: null where there were calls, and none of them told any."""
    told, calls = (
        func.coalesce(func.sum(tokens), 0),
        func.coalesce(func.sum(TURNS.c.model_calls), 0),
    )
    untold = func.coalesce(func.sum(TURNS.c.uncounted_calls), 0)
    return case((and_(calls > 0, calls == untold, told == 0), null()), else_=told)


_CALLS = func.coalesce(func.sum(TURNS.c.model_calls), 0)
_PRICED = TURNS.c.model_calls > 0  # a turn without a call costs nothing, which is no price
_SPENT = (
    _CALLS,
    _known(TURNS.c.input_tokens),
    func.sum(TURNS.c.cached_tokens).filter(_PRICED),
    _known(TURNS.c.output_tokens),
    func.sum(TURNS.c.reasoning_tokens).filter(_PRICED),
    case(
        (_CALLS > 0, cast(func.sum(TURNS.c.cost_nanodollars).filter(_PRICED), BigInteger)), else_=0
    ),
    func.coalesce(func.sum(TURNS.c.uncounted_calls), 0),
    func.coalesce(
        func.sum(
            case(
                (TURNS.c.cost_nanodollars.is_(None), TURNS.c.model_calls),
                else_=TURNS.c.unpriced_calls,
            )
        ),
        0,
    ),
)
"""The fields of `Spent`, of all of a session's turns."""

# Made once: to make them anew took a third of what a request for a session takes the processor.
_WANTED = (SESSIONS.c.id == bindparam("session_id"), SESSIONS.c.user_id == bindparam("user_id"))
_GET = select(*SESSION).where(*_WANTED)
_GET_WITH_USAGE = (
    select(*SESSION, *_SPENT)
    .outerjoin(TURNS, TURNS.c.session_id == SESSIONS.c.id)
    .where(*_WANTED)
    .group_by(SESSIONS.c.id)
)


class SessionRepository:
    """The sessions of all users. Methods block, and raise `StoreUnavailable`."""

    def __init__(self, database: Database, fair_use: FairUse = UNLIMITED) -> None:
        """Keep the way to Postgres, and what one user may have."""
        self._database = database
        self._fair_use = fair_use

    def create(
        self,
        session_id: UUID,
        user_id: str,
        *,
        agent: str,
        name: str | None,
        platform: str,
        metadata: Mapping[str, Any],
        idempotency_key: str | None,
        fingerprint: bytes,
    ) -> tuple[Session, bool]:
        """Create a session, or find the one that the key or the name already has.

        Returns:
            The session, and whether its id is the one given: made by this call, or by an earlier
            try of it whose answer was lost.

        Raises:
            IdempotencyKeyReused: The key made another session, from other fields.
            NotFound: The key's session was deleted.
            LimitReached: The user has as many sessions, or as much metadata, as one may have.
        """
        parameters = {
            "session_id": session_id,
            "user_id": user_id,
            "agent": agent,
            "name": name,
            "platform": platform,
            "key": idempotency_key,
            "fingerprint": bytes(fingerprint) if idempotency_key else None,
            "max_sessions": self._fair_use.sessions,
        }
        creating = _CREATE_BARE
        if metadata:
            creating = _CREATE
            parameters["metadata"] = to_json(metadata).decode()
            parameters["max_metadata_bytes"] = self._fair_use.metadata_bytes
        scope = OfUser(user_id, alone=self._fair_use.counted)
        while True:
            if idempotency_key is not None:
                earlier = self._of_key(user_id, idempotency_key, fingerprint)
                if earlier is not None:
                    return Session.of(earlier), earlier.id == session_id
            (row,) = self._database.run(scope, creating, parameters)
            if row.id is not None:
                return Session(*row[len(_REACHED) :]), True
            found = self._find(session_id, user_id, name)
            if found is not None:
                return Session.of(found), found.id == session_id
            if row.reached is not None:
                raise LimitReached(row.reached, row.most)
            # What was in the way is gone or is the same key's, made meanwhile: look again.

    def _of_key(self, user_id: str, key: str, fingerprint: bytes) -> AnyRow | None:
        query = select(*SESSION, SESSIONS.c.fingerprint).where(
            SESSIONS.c.user_id == user_id, SESSIONS.c.idempotency_key == key
        )
        for earlier in self._database.run(OfUser(user_id), query):
            if earlier.fingerprint not in all_of(fingerprint):
                raise IdempotencyKeyReused(key)
            return earlier
        buried = self._database.run(
            OfUser(user_id),
            select(TOMBSTONES.c.fingerprint).where(
                TOMBSTONES.c.user_id == user_id,
                TOMBSTONES.c.kind == "session",
                TOMBSTONES.c.idempotency_key == key,
                TOMBSTONES.c.expires_at > text("now()"),
            ),
        )
        if not buried:
            return None
        if buried[0].fingerprint not in all_of(fingerprint):
            raise IdempotencyKeyReused(key)
        raise NotFound("session", key)

    def _find(self, session_id: UUID, user_id: str, name: str | None) -> AnyRow | None:
        wanted = SESSIONS.c.id == session_id
        if name is not None:  # compared with null it would be any session without a name
            wanted |= SESSIONS.c.name == name
        query = select(*SESSION).where(SESSIONS.c.user_id == user_id, wanted)
        return next(iter(self._database.run(OfUser(user_id), query)), None)

    def get(self, user_id: str, session_id: UUID) -> Session:
        """Look at one session.

        Raises:
            NotFound: The user has no such session.
        """
        wanted = {"session_id": session_id, "user_id": user_id}
        for row in self._database.run(OfUser(user_id), _GET, wanted):
            return Session.of(row)
        raise NotFound("session", session_id)

    def get_with_usage(self, user_id: str, session_id: UUID) -> tuple[Session, Spent]:
        """Look at one session and at what its turns came to, in one round trip.

        Raises:
            NotFound: The user has no such session.
        """
        wanted = {"session_id": session_id, "user_id": user_id}
        for row in self._database.run(OfUser(user_id), _GET_WITH_USAGE, wanted):
            return Session.of(row), Spent("", *row[len(SESSION) :])
        raise NotFound("session", session_id)

    def owner(self, session_id: UUID) -> str:
        """Tell whose session it is: for administration, which names no user.

        Raises:
            NotFound: There is no such session.
        """
        query = select(SESSIONS.c.user_id).where(SESSIONS.c.id == session_id)
        rows = self._database.run(OfSession(session_id), query)
        if not rows:
            raise NotFound("session", session_id)
        return str(rows[0].user_id)

    def change(
        self,
        user_id: str,
        session_id: UUID,
        changes: Mapping[str, Any],
        *,
        by_administrator: bool = False,
    ) -> Session:
        """Set some of `name`, `status` and `metadata`; nothing else is touched.

        Another status takes the reason of the one before with it.

        Args:
            user_id: Whose session it is.
            session_id: The session.
            changes: The new values.
            by_administrator: Whether an escalated session may be given another status. Its user
                may not: the person who was asked for would never hear of it.

        Raises:
            NotFound: The user has no such session.
            SessionEscalated: It is escalated, and that is not the user's to end.
            NameTaken: Another session of the user's has the name.
            LimitReached: The user's metadata would come to more than it may.
        """
        if not changes:
            return self.get(user_id, session_id)
        most = self._fair_use.metadata_bytes if changes.get("metadata") else 0
        values = {**changes, "updated_at": text("now()")}
        if "status" in changes:
            same = SESSIONS.c.status == changes["status"]
            values["status_reason"] = case((same, SESSIONS.c.status_reason))
        own = [SESSIONS.c.id == session_id, SESSIONS.c.user_id == user_id]
        allowed = [*own]
        barred = not by_administrator and changes.get("status", "escalated") != "escalated"
        if barred:
            allowed.append(SESSIONS.c.status != "escalated")
        if most:
            allowed.append(_room(user_id, session_id, changes["metadata"], most))
        changing = update(SESSIONS).where(*allowed).values(values).returning(*SESSION)
        try:
            changed = self._database.run(OfUser(user_id, alone=bool(most)), changing)
        except IntegrityError as error:
            raise NameTaken(changes["name"]) from error
        if not changed:
            found = self.get(user_id, session_id)
            if most and not (barred and found.status == "escalated"):
                raise LimitReached("user_max_metadata_bytes", most)
            raise SessionEscalated(session_id)
        return Session.of(changed[0])

    def delete(self, user_id: str, session_id: UUID) -> None:
        """Remove the session's rows and leave its conversation in the outbox, in one statement.

        Raises:
            NotFound: The user has no such session.
        """
        parameters = {
            "user_id": user_id,
            "session_id": session_id,
            "conversation": conversation_key(user_id, session_id),
        }
        # Looked for first: a deletion that is repeated because its answer was lost finds nothing.
        self.get(user_id, session_id)
        self._database.run(OfUser(user_id), _DELETE, parameters)

    def forget(self, user_id: str, session_id: UUID) -> int:
        """Forget all turns begun so far.

        Returns:
            The lowest turn number whose memory must stay: of a turn that is still open, or of
            the next one.

        Raises:
            NotFound: The user has no such session.
        """
        parameters = {"user_id": user_id, "session_id": session_id}
        rows = self._database.run(OfUser(user_id), _FORGET, parameters)
        if not rows:
            raise NotFound("session", session_id)
        return int(rows[0].number)

    def vouched(
        self, user_id: str, session_id: UUID, turns: int
    ) -> tuple[int, tuple[Voucher, ...]]:
        """Return what pruning must leave alone.

        Returns:
            The number of the lowest turn that is still open, or of the next one; and the turns
            below it that left memory and are in the session's window, newest first, at most
            `turns`.

        Raises:
            NotFound: The user has no such session.
        """
        parameters = {"user_id": user_id, "session_id": session_id, "turns": turns}
        rows = self._database.run(OfUser(user_id), _VOUCHED, parameters)
        if not rows:
            raise NotFound("session", session_id)
        return int(rows[0].number), Voucher.all_of(rows[0].vouched)

    def begin_window_at(self, user_id: str, session_id: UUID, number: int) -> None:
        """Show the session's agent no turns below `number` any more. A window never moves back."""
        parameters = {"user_id": user_id, "session_id": session_id, "number": number}
        self._database.run(OfUser(user_id), _BEGIN_WINDOW_AT, parameters)


def _room(
    user_id: str, session_id: UUID, metadata: Mapping[str, Any], most: int
) -> ColumnElement[bool]:
    """Say whether a session may have the metadata, beside that of the user's others.

    It may always have less than it has.
    """

    def size(value: Any) -> ColumnElement[int]:
        return func.octet_length(cast(value, Text))

    new = size(literal(dict(metadata), JSONB))
    others = (
        select(func.coalesce(func.sum(size(SESSIONS.c.metadata)), 0))
        .where(
            SESSIONS.c.user_id == user_id,
            SESSIONS.c.id != session_id,
            SESSIONS.c.metadata != literal_column("'{}'"),
        )
        .correlate(None)
        .scalar_subquery()
    )
    return or_(new <= size(SESSIONS.c.metadata), new + others <= most)


def existing(database: Database, sessions: Sequence[tuple[str, UUID]]) -> set[tuple[str, UUID]]:
    """Tell which of the named sessions, by user and id, are there.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    if not sessions:
        return set()
    query = select(SESSIONS.c.user_id, SESSIONS.c.id).where(
        SESSIONS.c.id.in_([session_id for _, session_id in sessions])
    )
    return {(row.user_id, row.id) for row in database.run(SERVICE, query)}


_DELETE = deletion(f"""
  SELECT s.*, CAST(:conversation AS text) AS conversation, now() + {GRACE} AS not_before
  FROM sessions s WHERE s.id = :session_id AND s.user_id = :user_id FOR UPDATE
""")

_BOUNDARY = f"""
  coalesce(
    (SELECT min(t.number) FROM turns t
     WHERE t.session_id = s.id AND t.status IN {OPEN_IN_SQL}), s.next_number)
"""

_FORGET = text(f"""
WITH s AS (
  UPDATE sessions SET memory_from = next_number, summary_id = NULL, summary_attempt = 0,
    summary_to = 0, summary_made_at = NULL, summarising_id = NULL, summarising_attempt = 0,
    summarising_to = 0, summarising_until = NULL, summarising_failures = 0
  WHERE id = :session_id AND user_id = :user_id RETURNING *)
SELECT {_BOUNDARY} AS number FROM s
""")

_BEGIN_WINDOW_AT = text("""
UPDATE sessions SET window_from = greatest(window_from, :number)
WHERE id = :session_id AND user_id = :user_id
""")

_VOUCHED = text(f"""
WITH s AS (
  SELECT s.*, {_BOUNDARY} AS boundary FROM sessions s
  WHERE s.id = :session_id AND s.user_id = :user_id)
SELECT s.boundary AS number, coalesce((
  SELECT json_agg(json_build_array(w.number, w.attempt, w.id)) FROM (
    SELECT t.number, t.attempt, t.id FROM turns t
    WHERE t.session_id = s.id AND t.remembered
      AND t.number >= greatest(s.memory_from, s.window_from) AND t.number < s.boundary
    ORDER BY t.number DESC LIMIT :turns) w), '[]') AS vouched
FROM s
""")
