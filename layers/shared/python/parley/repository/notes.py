"""A note of an administrator's in a session: a turn of its own, which nobody ran."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from parley.errors import NotFound
from parley.ids import TurnKey, new_id
from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley.repository.states import SessionStatus

NOTE_ATTEMPT = 1
"""The attempt that a note's turn is vouched for with."""


def leave_note(
    database: Database, user_id: str, session_id: UUID, status: SessionStatus, said: str
) -> TurnKey:
    """Say something in a session as its assistant, and set its status, in one statement.

    The note has the session's next number, and is vouched for: the agent is shown it as the last
    thing that was said. It is no answer to a message, so its turn has none.

    Returns:
        The turn that holds it.

    Raises:
        NotFound: The user has no such session.
    """
    turn_id = new_id()
    parameters = {
        "user_id": user_id,
        "session_id": session_id,
        "status": status,
        "turn_id": turn_id,
        "message_id": new_id(),
        "attempt": NOTE_ATTEMPT,
        "note": said,
    }
    # Not repeated: of a try whose answer was lost, the note may be there.
    rows = database.run_once(OfUser(user_id), _NOTE, parameters)
    if not rows:
        raise NotFound("session", session_id)
    return TurnKey(rows[0].number, turn_id)


# The session is locked before the turn is made: the other order deadlocked with deletion
# (turn-protocol, section 2).
_NOTE = text("""
WITH bumped AS (
  UPDATE sessions s SET next_number = s.next_number + 1, status = :status,
    status_reason = CASE WHEN s.status = :status THEN s.status_reason END,
    updated_at = now(), last_activity_at = now()
  WHERE s.id = :session_id AND s.user_id = :user_id
  RETURNING s.id, s.user_id, s.agent, s.next_number - 1 AS number),
made AS (
  INSERT INTO turns (id, session_id, user_id, number, agent, fingerprint, status, attempt,
                     remembered, ended_at)
  SELECT :turn_id, id, user_id, number, agent, '', 'completed', :attempt, true, now() FROM bumped
  RETURNING id, number),
said AS (
  INSERT INTO messages (id, turn_id, role, content)
  SELECT :message_id, id, 'assistant', :note FROM made)
SELECT number FROM made
""")
