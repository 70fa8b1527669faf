"""Row-level security: what the run-time role may do with each table, and with whose rows.

It is the net below every statement's own `WHERE user_id`: a statement without one, of Parley's or
of a tool, sees and changes the rows of its scope's user only (`scope`). The policies are
restrictive and bind the run-time role alone. What the service's login, the owner and an operator's
own roles see is what they are granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

EVERY_RIGHT = ("SELECT", "INSERT", "UPDATE", "DELETE")

# A CASE is looked at row by row and chooses no index, so a statement's plan is what it would be
# without the policy: as a condition of its own, it led Postgres away from the session's few turns
# to the user's many.
_MINE = "CASE WHEN user_id = nullif(current_setting('parley.user', true), '') THEN true END"
_OWN = {"ALL": f"USING ({_MINE})"}

# Turns are under a policy themselves. An index finds the turn of each row; with EXISTS, Postgres
# may think that it is quicker to read all of the user's turns first.
_OF_OWN_TURN = "USING ((SELECT true FROM turns t WHERE t.id = turn_id))"

# A begin makes a turn and its message in one statement, whose own view of the table has no such
# turn; the function looks anew.
_OF_TURN = {
    "SELECT": _OF_OWN_TURN,
    "INSERT": "WITH CHECK (parley_own_turn(turn_id))",
    "UPDATE": _OF_OWN_TURN,
    "DELETE": _OF_OWN_TURN,
}

# A session's id is a UUID, 36 characters long, so no user's id can be mistaken for another's.
_OWN_CONVERSATION = {
    "ALL": (
        "USING (conversation = 'user_' || nullif(current_setting('parley.user', true), '')"
        " || '_conv_' || right(conversation, 36))"
    )
}


@dataclass(frozen=True, slots=True)
class Guard:
    """What the run-time role may do with a table.

    Attributes:
        rights: The privileges; none for what only the service's login touches.
        policies: For each command, or for ALL, whose rows.
        service: The privileges of the service's login.
    """

    rights: tuple[str, ...] = ()
    policies: Mapping[str, str] = field(default_factory=dict)
    service: tuple[str, ...] = EVERY_RIGHT


GUARDS: Mapping[str, Guard] = {
    "sessions": Guard(EVERY_RIGHT, _OWN),
    "turns": Guard(("SELECT", "INSERT", "UPDATE"), _OWN),
    "messages": Guard(("SELECT", "INSERT"), _OF_TURN),
    "tool_calls": Guard(("SELECT", "INSERT", "UPDATE"), _OF_TURN),
    "approvals": Guard(("SELECT", "INSERT", "UPDATE"), _OWN),
    "idempotency_tombstones": Guard(EVERY_RIGHT, _OWN),
    "daily_usage": Guard(EVERY_RIGHT, _OWN),
    "memory_deletions": Guard(("SELECT", "INSERT", "UPDATE"), _OWN_CONVERSATION),
    "user_limits": Guard(EVERY_RIGHT, _OWN),
    # What a tool does in its user's name gives that user no larger budget.
    "user_budgets": Guard(("SELECT",), _OWN),
    # Sums of all users, beside which each begin is held; who counts them is the owner's trigger.
    "deployment_spending": Guard(("SELECT",), {"SELECT": "USING (true)"}),
    "escalation_notices": Guard(),
    # Functions of the owner's take its places, and leave them.
    "summary_places": Guard(),
    "cleanup_progress": Guard(),
    "audit_records": Guard(),
    "alembic_version": Guard(service=("SELECT",)),
}
"""All of Parley's own tables; a table that is not here is a user's own."""

PROJECT_VERSIONS = "parley_project_version"
"""Where Alembic keeps the revision of the project's own migrations, once there is one."""

EVERYONE = "parley_everyone"
"""The policy that leaves everybody else what they are granted."""


def policies(table: str, role: str) -> dict[str, tuple[str, str]]:
    """Return the policies of a table of Parley's that bind a role, as command and rule by name."""
    return named(GUARDS[table].policies, role)


def policies_of_user(column: str, role: str) -> dict[str, tuple[str, str]]:
    """Return the policies that bind a role to the rows whose column names its scope's user.

    Args:
        column: As SQL has it, in quotes.
        role: Whom.
    """
    return named({"ALL": f"USING ({_MINE.replace('user_id', column)})"}, role)


def named(rules: Mapping[str, str], role: str) -> dict[str, tuple[str, str]]:
    """Return policies by a name that tells what is in them: another rule is another policy."""
    return {
        f"parley_{command.lower()}_{_digest(role, command, rule)}": (command, rule)
        for command, rule in rules.items()
    }


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:12]
