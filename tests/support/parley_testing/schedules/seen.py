"""What Postgres holds of one user, as a test sees it past Parley's code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from parley.ids import SUMMARY_NUMBER, Voucher
from parley_testing.schedules import plans
from parley_testing.schedules.plans import Call


@dataclass
class SeenApproval:
    """A call that somebody decides on."""

    id: UUID
    tool: str
    arguments: str
    status: str

    @property
    def told(self) -> str | None:
        """What the model is told instead of an output, if nobody has approved it."""
        match self.status:
            case "rejected":
                return f"{plans.NOT_MADE}it was rejected."
            case "expired":
                return f"{plans.NOT_MADE}nobody approved it in time."
            case _:
                return None


@dataclass
class SeenTurn:
    """A turn with its messages and tool calls."""

    id: UUID
    session_id: UUID
    number: int
    status: str
    attempt: int
    crashes: int
    key: str | None
    error_code: str | None
    error_detail: str | None
    remembered: bool
    expired: bool | None
    cancel_requested: bool
    said: dict[str, str] = field(default_factory=dict)
    calls: dict[str, tuple[str, str, str, bool]] = field(default_factory=dict)
    approvals: dict[str, SeenApproval] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status in ("completed", "failed", "cancelled")

    @property
    def text(self) -> str:
        """What the user said."""
        return self.said["user"]

    @property
    def outputs(self) -> dict[Call, list[str]]:
        """What its tools answered, of equal calls in order; also of those that were not made."""
        found: dict[Call, list[str]] = {}
        for name, arguments, output, _ in self.calls.values():
            found.setdefault((name, plans.told(arguments)), []).append(output)
        made = set(found)
        for each in self.approvals.values():
            call = each.tool, plans.told(each.arguments)
            # Of one whose records were lost the model is asked afresh, and what was rejected may be
            # asked for again, and be made.
            if each.told is not None and call not in made:
                found[call] = [each.told]
        return found

    @property
    def undecided(self) -> list[SeenApproval]:
        """What somebody has to decide on still."""
        return [each for each in self.approvals.values() if each.status == "open"]

    @property
    def effects(self) -> int:
        """How many tools changed something."""
        return sum(effect for *_, effect in self.calls.values())


@dataclass
class SeenSession:
    """A session with its turns, in order of their numbers."""

    id: UUID
    status: str
    next_number: int
    memory_from: int
    window_from: int
    idle_days: float
    summary: Voucher | None
    summary_to: int
    model_calls: int
    turns: list[SeenTurn] = field(default_factory=list)

    @property
    def shown_from(self) -> int:
        """The lowest turn number that its agent may be shown."""
        return max(self.memory_from, self.window_from)

    @property
    def summary_due(self) -> bool:
        """Whether turns were left behind that no summary covers."""
        return self.window_from > max(self.memory_from, self.summary_to + 1)

    @property
    def summarised(self) -> list[str]:
        """What the user said in the turns that the summary which counts is to be of."""
        return [
            turn.text
            for turn in self.turns
            if turn.remembered and self.memory_from <= turn.number <= self.summary_to
        ]

    @property
    def running(self) -> SeenTurn | None:
        """The turn that has not ended, if there is one."""
        return next((turn for turn in self.turns if turn.status == "running"), None)

    @property
    def open(self) -> list[SeenTurn]:
        """The turns that have not ended: the one that runs, and those that wait."""
        return [turn for turn in self.turns if not turn.over]

    @property
    def asks(self) -> SeenTurn | None:
        """The turn that waits for somebody to decide, if there is one."""
        return next((turn for turn in self.turns if turn.status == "waiting"), None)

    @property
    def idle(self) -> bool:
        """Whether a turn waits for a worker and none runs, nor asks for anything."""
        return bool(self.open) and self.running is None and self.asks is None


@dataclass
class Seen:
    """All sessions of a user, the titles of their tasks, and how often models were called for them.

    The calls are those in the sums of days, of deleted sessions too.
    """

    sessions: dict[UUID, SeenSession]
    tasks: list[str]
    model_calls: int = 0

    def turn(self, turn_id: UUID) -> SeenTurn | None:
        """Find a turn by its id."""
        turns = (turn for session in self.sessions.values() for turn in session.turns)
        return next((turn for turn in turns if turn.id == turn_id), None)


def _session(row: tuple[Any, ...]) -> SeenSession:
    found, status, number, memory_from, window_from, idle_days, summary_id, attempt, to, calls = row
    voucher = None if summary_id is None else Voucher(SUMMARY_NUMBER, attempt, summary_id)
    return SeenSession(
        found, status, number, memory_from, window_from, idle_days, voucher, to, calls
    )


def see(sql: psycopg.Connection, user: str) -> Seen:
    """Look at everything that a user has."""
    with sql.pipeline():
        # One snapshot: another process may be at work meanwhile.
        sql.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        sessions = sql.execute(
            "SELECT id, status, next_number, memory_from, window_from,"
            " extract(epoch FROM now() - last_activity_at)::float8 / 86400,"
            " CASE WHEN summary_to >= memory_from THEN summary_id END, summary_attempt, summary_to,"
            " summary_calls + (SELECT coalesce(sum(model_calls), 0)::int FROM turns t"
            "  WHERE t.session_id = sessions.id)"
            " FROM sessions WHERE user_id = %s",
            (user,),
        )
        turns = sql.execute(
            "SELECT id, session_id, number, status, attempt, crashes, idempotency_key,"
            " error_code, error_detail, remembered, lease_expires_at < now(),"
            " cancel_requested_at IS NOT NULL"
            " FROM turns WHERE user_id = %s ORDER BY session_id, number",
            (user,),
        )
        said = sql.execute(
            "SELECT m.turn_id, m.role, m.content FROM messages m JOIN turns t ON t.id = m.turn_id"
            " WHERE t.user_id = %s",
            (user,),
        )
        calls = sql.execute(
            "SELECT c.turn_id, c.call_id, c.name, c.arguments, c.output ->> 'value', c.effect"
            " FROM tool_calls c JOIN turns t ON t.id = c.turn_id WHERE t.user_id = %s"
            " ORDER BY c.created_at",
            (user,),
        )
        asked = sql.execute(
            "SELECT turn_id, call_id, id, tool, arguments, status FROM approvals"
            " WHERE user_id = %s ORDER BY id",
            (user,),
        )
        tasks = sql.execute("SELECT title FROM tasks WHERE user_id = %s", (user,))
        spent = sql.execute(
            "SELECT coalesce(sum(calls), 0)::int FROM daily_usage WHERE user_id = %s", (user,)
        )
        sql.execute("COMMIT")
    found = Seen({row[0]: _session(row) for row in sessions}, [title for (title,) in tasks])
    ((found.model_calls,),) = spent
    by_id: dict[UUID, SeenTurn] = {}
    for row in turns:
        by_id[row[0]] = SeenTurn(*row)
        found.sessions[row[1]].turns.append(by_id[row[0]])
    for turn_id, role, content in said:
        by_id[turn_id].said[role] = content
    for turn_id, call_id, *call in calls:
        by_id[turn_id].calls[call_id] = tuple(call)
    for turn_id, call_id, *approval in asked:
        by_id[turn_id].approvals[call_id] = SeenApproval(*approval)
    return found
