"""Approvals: what a turn asks for before it does it, and what was decided.

Each is decided once: by one conditional update, which also lets the turn go on if it was the last
that the turn waited for. A turn that goes on is as one that was let go of: if nobody is woken for
it, the recovery finds it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import TypeAdapter
from pydantic_core import to_json
from sqlalchemy import ScalarSelect, select, text

from parley.errors import NotFound
from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.paging import Page, decode, encode, fitting
from parley.repository.scope import SERVICE, OfUser, Scope
from parley.repository.statements import statement
from parley.repository.states import ApprovalStatus
from parley.repository.tables import APPROVALS, TURNS, AnyQuery, AnyRow
from parley.repository.turns import COST_MAX, RunningTurn

Decision = Literal["approved", "rejected"]

USER, ADMIN = "user", "admin"
"""Who may decide, besides those that have a scope: the turn's user, or an administrator."""

ASKED_BYTES = 3_000_000
"""How large the arguments may be, in a function's answer, of all that a turn asks for at once: each
who reads them, and the turn, is answered with less than Lambda takes."""

UNLOGGED = 2
"""Where it is told that a turn waits of which no log is kept: behind its start."""

_PAUSE = statement("pause")
_DECIDE = statement("decide")
_EXPIRE = statement("expire_approvals")
_POSITION: TypeAdapter[tuple[UUID]] = TypeAdapter(tuple[UUID])


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that somebody has to decide on.

    Attributes:
        call_id: The model's id of the call.
        agent: The name of the agent that makes it.
        arguments: As the model wrote them, JSON text.
        decider: Who may decide: `user`, `admin`, or a scope.
        editable: Whether who approves may change the arguments.
        schema: What the tool says of its arguments, where they may be changed: JSON Schema.
    """

    call_id: str
    agent: str
    tool: str
    arguments: str
    decider: str = USER
    editable: bool = False
    schema: Any = None

    @property
    def digest(self) -> str:
        """Of what would be done."""
        return digest_of(self.agent, self.tool, self.arguments)


def digest_of(agent: str, tool: str, arguments: str) -> str:
    """Digest a call: what was approved is done only if it comes to the same."""
    return sha256(to_json([agent, tool, arguments])).hexdigest()


@dataclass(frozen=True, slots=True)
class Approval:
    """A call that somebody has decided on, or has to.

    Attributes:
        user_id: Whose turn it is.
        call_id: The model's id of the call.
        arguments: As the model wrote them, JSON text.
        digest: Of what may be done.
        decider: Who may decide: `user`, `admin`, or a scope.
        editable: Whether who approves may change the arguments.
        decided_by: Who decided; None while it is open, and where nobody did.
        edited_arguments: What the tool is called with instead, JSON text; None for the model's own.
        arguments_schema: What the tool says of its arguments; None where they may not be changed,
            and where the release before asked.
    """

    id: UUID
    session_id: UUID
    turn_id: UUID
    user_id: str
    call_id: str
    agent: str
    tool: str
    arguments: str
    digest: str
    decider: str
    editable: bool
    status: ApprovalStatus
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    edited_arguments: str | None
    created_at: datetime
    expires_at: datetime
    arguments_schema: Any = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, row: AnyRow, session_id: UUID) -> Self:
        """Make the value of a row."""
        return cls(
            row.id,
            session_id,
            row.turn_id,
            row.user_id,
            row.call_id,
            row.agent,
            row.tool,
            row.arguments,
            row.digest,
            row.decider,
            row.editable,
            row.status,
            row.decided_by,
            row.decided_at,
            row.reason,
            row.edited_arguments,
            row.created_at,
            row.expires_at,
            row.arguments_schema,
        )

    @property
    def is_open(self) -> bool:
        """Whether somebody has to decide still."""
        return self.status == "open"

    def may_be_decided_by(self, user_id: str, may: Collection[str]) -> bool:
        """Return whether somebody may decide on it.

        Args:
            user_id: Who.
            may: Their scopes, and `admin` if they are an administrator.
        """
        return self.user_id == user_id if self.decider == USER else self.decider in may


def rejection(decision: str, reason: str | None) -> str:
    """Return what is told of a call that was not approved, to the model and to who is shown it."""
    if decision == "expired":
        return "This call was not made: nobody approved it in time."
    told = "This call was not made: it was rejected."
    return told if not reason else f"{told} The reason given: {reason}"


def pause(
    database: Database,
    turn: RunningTurn,
    asked: Sequence[Asked],
    *,
    expires_in: float,
    spent: int,
    spent_cost: int = 0,
    sequence: int = UNLOGGED,
) -> list[Approval] | None:
    """Let a turn wait until somebody has decided on all that it asks for. One round trip.

    Args:
        database: Where it is.
        turn: The turn, with the attempt that has it; no later write of that attempt is taken.
        asked: At least one call.
        expires_in: In how many seconds they expire.
        spent: The tokens that count for budgets so far.
        spent_cost: The nanodollars, likewise.
        sequence: Where its log tells that it waits, or is to.

    Returns:
        What is to be decided on, also if an earlier call wrote it and its answer was lost; None if
        this attempt was replaced, or the turn was stopped or deleted.
    """
    parameters = {
        "session_id": turn.session_id,
        "turn_id": turn.id,
        "attempt": turn.attempt,
        "waiting_for": "decisions",
        "waiting_sequence": sequence,
        "spent_tokens": spent,
        "spent_cost": min(spent_cost, COST_MAX),
        "expires_in": expires_in,
        "asked": to_json([_as_json(each) for each in asked]).decode(),
    }
    scope = OfUser(turn.user_id)
    rows = database.run(scope, _PAUSE, parameters) or database.run(scope, _PAUSED, parameters)
    return [Approval.of(row, turn.session_id) for row in rows] or None


_PAUSED = text("SELECT * FROM approvals WHERE turn_id = :turn_id AND attempt = :attempt")


def _as_json(asked: Asked) -> dict[str, Any]:
    return {
        "id": new_id(),
        "call_id": asked.call_id,
        "agent": asked.agent,
        "tool": asked.tool,
        "arguments": asked.arguments,
        "digest": asked.digest,
        "decider": asked.decider,
        "editable": asked.editable,
        "arguments_schema": asked.schema,
    }


def of_turn(database: Database, user_id: str, turn_id: UUID) -> list[Approval]:
    """Read all that a turn has asked for, the oldest first. One round trip."""
    query = _APPROVALS.where(APPROVALS.c.turn_id == turn_id, APPROVALS.c.user_id == user_id)
    return _read(database, OfUser(user_id), query.order_by(APPROVALS.c.id))


def asked_with(
    database: Database, user_id: str, session: ScalarSelect[UUID], ids: Collection[UUID]
) -> list[Approval]:
    """Read all that the turns of a session asked for which asked for some. One round trip.

    Args:
        database: Where they are.
        user_id: Whose session it is.
        session: Selects its id.
        ids: The approvals that are known.

    Returns:
        The oldest first; none of a turn in another session.
    """
    turns = select(APPROVALS.c.turn_id).where(APPROVALS.c.id.in_(ids))
    query = _APPROVALS.where(
        APPROVALS.c.turn_id.in_(turns),
        APPROVALS.c.user_id == user_id,
        TURNS.c.session_id == session,
    )
    return _read(database, OfUser(user_id), query.order_by(APPROVALS.c.id))


def of_running(database: Database, turn: RunningTurn) -> dict[str, Approval]:
    """Read what was decided on the calls of a turn that goes on, by call id. One round trip."""
    return {each.call_id: each for each in of_turn(database, turn.user_id, turn.id)}


def get(
    database: Database, approval_id: UUID, user_id: str | None, scopes: Collection[str] = ()
) -> Approval:
    """Look at an approval. One round trip.

    Args:
        database: Where it is.
        approval_id: Which.
        user_id: Whose it is; None for anybody's.
        scopes: One that is somebody else's is found if one who has such a scope may decide on it.

    Raises:
        NotFound: There is none such.
    """
    query = _APPROVALS.where(APPROVALS.c.id == approval_id)
    if user_id is not None:
        own = query.where(APPROVALS.c.user_id == user_id)
        if found := _read(database, OfUser(user_id), own):
            return found[0]
        query = query.where(APPROVALS.c.decider.in_(scopes))
    if found := _read(database, SERVICE, query) if user_id is None or scopes else []:
        return found[0]
    raise NotFound("approval", approval_id)


def listed(
    database: Database,
    user_id: str | None,
    *,
    status: ApprovalStatus | None,
    limit: int,
    cursor: str | None,
) -> Page[Approval]:
    """List approvals, the newest first. One round trip.

    Args:
        database: Where they are.
        user_id: Whose; None for everybody's.
        status: Only those.
        limit: How many at most.
        cursor: Where to go on from.

    Raises:
        InvalidField: The cursor is not one of this list.
    """
    query = _APPROVALS.order_by(APPROVALS.c.id.desc()).limit(limit + 1)
    if user_id is not None:
        query = query.where(APPROVALS.c.user_id == user_id)
    if status is not None:
        query = query.where(APPROVALS.c.status == status)
    if cursor is not None:
        query = query.where(APPROVALS.c.id < decode(cursor, _POSITION)[0])
    scope = SERVICE if user_id is None else OfUser(user_id)
    found = _read(database, scope, query)
    kept = fitting(found, limit, lambda each: [each.arguments, each.edited_arguments, each.reason])
    page = found[:kept]
    return Page(page, encode([str(page[-1].id)]) if len(found) > kept else None)


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of deciding.

    Attributes:
        approval: As it is now, decided by this call or before.
        by_this: Whether this call decided it.
        goes_on: Whether the turn goes on now, and a worker is to be woken for it.
    """

    approval: Approval
    by_this: bool
    goes_on: bool = False


def decide(
    database: Database,
    approval: Approval,
    status: Decision,
    *,
    by: str,
    reason: str | None = None,
    edited: str | None = None,
    anybody: bool,
) -> Decided:
    """Decide on an approval. One round trip; another if it was decided before.

    Args:
        database: Where it is.
        approval: The approval, as it was read.
        status: What is decided.
        by: Who does.
        reason: Why, in words.
        edited: What the tool is to be called with instead, JSON text.
        anybody: Whether the caller may decide on what is another user's.

    Returns:
        What was decided, by this call or before; `expired` if its time was over.

    Raises:
        NotFound: It was deleted meanwhile.
    """
    parameters = {
        "approval_id": approval.id,
        "status": status,
        "decided_by": by,
        "reason": reason,
        "edited_arguments": edited,
        "digest": None if edited is None else digest_of(approval.agent, approval.tool, edited),
    }
    scope: Scope = SERVICE if anybody else OfUser(approval.user_id)
    rows = database.run(scope, _DECIDE, parameters)
    if rows:
        (row,) = rows
        return Decided(Approval.of(row, approval.session_id), row.status == status, row.goes_on)
    return Decided(get(database, approval.id, None if anybody else approval.user_id), False)


def expire(database: Database, limit: int) -> int:
    """Let approvals expire whose time is over, at most `limit`, and count them. One round trip."""
    return sum(row.approvals for row in database.run(SERVICE, _EXPIRE, {"limit": limit}))


_APPROVALS = select(APPROVALS, TURNS.c.session_id).join(TURNS, TURNS.c.id == APPROVALS.c.turn_id)


def _read(database: Database, scope: Scope, query: AnyQuery) -> list[Approval]:
    return [Approval.of(row, row.session_id) for row in database.run(scope, query)]
