"""Which summary of a session's earlier turns counts, and who makes the next one.

The statements stand whole in `sql/`; turn-protocol, section 3b has the rules.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Row, text

from parley.errors import NotFound
from parley.ids import SUMMARY_NUMBER, TurnKey, Voucher, new_id
from parley.repository.database import Database
from parley.repository.fair_use import UNBOUNDED, UserBudget
from parley.repository.scope import SERVICE, OfSession, OfUser
from parley.repository.statements import statement
from parley.repository.turns import COST_MAX, Usage, voucher_of_summary
from parley.timing import (
    LONGEST_SUMMARY_PAUSE_SECONDS,
    SUMMARY_LEASE_SECONDS,
    SUMMARY_PAUSE_SECONDS,
    SUMMARY_WAIT_SECONDS,
)
from parley.usage.spent import Spent

TURNS_AT_ONCE = 200
"""How many turns one summary takes in at most."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A summary that this process makes.

    Attributes:
        user_id: Whose session it is of.
        agent: The session's.
        id: Names the summary, and so how far it reaches.
        attempt: The fence: all that this process writes for it names it.
        to: The number of the last turn that it is of.
        numbers: The turns that it takes in besides those of the summary before, in their order.
        before: The summary before, which it takes the place of.
        counts_money: Whether something bounds what its calls cost.
        place: Its place among those that are made at a time; None where any number is.
    """

    session_id: UUID
    user_id: str
    agent: str
    id: UUID
    attempt: int
    to: int
    numbers: tuple[int, ...]
    before: Voucher | None
    counts_money: bool = False
    place: UUID | None = None

    @property
    def key(self) -> TurnKey:
        """What names it in the agent-session store."""
        return TurnKey(SUMMARY_NUMBER, self.id)


@dataclass(frozen=True, slots=True)
class NoPlace:
    """As many summaries are made as may be at a time, so one is left for a while.

    Attributes:
        user_id: Whose session it is of.
        pause: For how many seconds.
    """

    user_id: str
    pause: float


@dataclass(frozen=True, slots=True)
class PutOff:
    """A summary that is left for a while.

    Attributes:
        failures: How often in a row the session's has failed.
        pause: For how many seconds.
    """

    failures: int
    pause: float


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """What Postgres knows of a session's summary.

    Attributes:
        voucher: Which one counts; None if there is none.
        to: The number of the last turn that it is of.
        made_at: Since when it counts.
        pending: Whether turns were left behind that none covers yet.
        usage: What making the session's summaries came to, those that were replaced among them.
    """

    voucher: Voucher | None
    to: int
    made_at: datetime | None
    pending: bool
    usage: Usage


class SummaryRepository:
    """The summaries of all sessions. Methods block, and raise `StoreUnavailable`."""

    def __init__(
        self, database: Database, budget: UserBudget = UNBOUNDED, at_once: int = 0
    ) -> None:
        """Keep the way to Postgres.

        Args:
            database: Where sessions are.
            budget: What users may spend.
            at_once: How many summaries are made at a time, of all sessions; 0 is any number.
        """
        self._database = database
        self._at_once = at_once
        self._limits = {
            "limits": to_json(budget.limits).decode(),
            "of_all": any(limit.startswith("deployment") for limit in budget.limits),
        }

    def take(
        self,
        session_id: UUID,
        agents: Collection[str],
        *,
        max_bytes: int,
        instead: Taken | None = None,
    ) -> Taken | NoPlace | None:
        """Take the making of a session's next summary. One round trip.

        Args:
            session_id: The session.
            agents: Of which agents' sessions summaries are made.
            max_bytes: The most bytes that the texts of its turns may come to, of one turn alone
                whatever they do.
            instead: The one that this process makes and that was too much for its model: it is
                given up for another, which reaches less far.

        Returns:
            None if no summary is due, or somebody else makes it, or it was left for a while, or a
            budget is used up.
        """
        place = new_id() if self._at_once else None
        if instead is not None:
            place = instead.place
        parameters = {
            "session_id": session_id,
            "agents": list(agents),
            "summary_id": new_id(),
            "lease": float(SUMMARY_LEASE_SECONDS),
            "longest": float(2 * LONGEST_SUMMARY_PAUSE_SECONDS),
            "turns": TURNS_AT_ONCE,
            "max_bytes": max_bytes,
            "mine": None if instead is None else instead.id,
            "my_attempt": 0 if instead is None else instead.attempt,
            "limits": self._limits["limits"],
            "place": place,
            "at_once": self._at_once,
            "wait": float(SUMMARY_WAIT_SECONDS),
        }
        again = False
        while True:
            # Not repeated: of a try whose answer was lost, the lease runs out.
            (row,) = self._database.run_once(OfSession(session_id), _TAKE, parameters)
            match row.outcome:
                case "again":
                    again = True
                case "taken":
                    return _taken(session_id, row, place)
                case "full":
                    return NoPlace(row.user_id, float(SUMMARY_WAIT_SECONDS))
                case _:
                    if again and place is not None and instead is None:
                        self.leave(place)
                    return None

    def leave(self, place: UUID) -> None:
        """Let another summary have a place; it may be repeated. One round trip."""
        self._database.run(SERVICE, _LEAVE, {"place": place})

    def keep(
        self, taken: Taken, voucher: Voucher | None, usage: Usage, spent: tuple[int, int] = (0, 0)
    ) -> bool | None:
        """Have a summary count. One round trip.

        Args:
            taken: What was taken.
            voucher: Names what was made, or the one before if there was nothing to take in.
            usage: What making it came to.
            spent: The tokens and the nanodollars that count for budgets, if they are more.

        Returns:
            Whether another one is due; None if this attempt was replaced, or the session was
            cleared or deleted meanwhile.
        """
        names: dict[str, Any] = {"summary_id": None, "summary_attempt": 0}
        if voucher is not None:
            names = {"summary_id": voucher.turn_id, "summary_attempt": voucher.attempt}
        scope = OfUser(taken.user_id)
        parameters = _of(taken, usage, spent) | self._limits | names
        rows = self._database.run(scope, _KEEP, parameters)
        if not rows and voucher is not None:  # an answer that was lost may have said so before
            names |= {"session_id": taken.session_id, "user_id": taken.user_id}
            rows = self._database.run(scope, _KEPT_BEFORE, names)
        return bool(rows[0].more) if rows else None

    def count(self, taken: Taken, usage: Usage, spent: tuple[int, int] = (0, 0)) -> None:
        """Count what was paid for a summary that counts for nobody. One round trip.

        It is not repeated, or it might count twice: of a try whose answer was lost, nobody knows.
        """
        parameters = _of(taken, usage, spent) | self._limits | {"agent": taken.agent}
        self._database.run_once(OfUser(taken.user_id), _COUNT, parameters)

    def put_off(self, taken: Taken, usage: Usage, spent: tuple[int, int] = (0, 0)) -> PutOff | None:
        """Leave a summary that could not be made for a while; None if it is not ours any more.

        Args:
            taken: What was taken.
            usage: What was paid for it all the same.
            spent: As with `keep`.
        """
        parameters = (
            _of(taken, usage, spent)
            | self._limits
            | {
                "pause": float(SUMMARY_PAUSE_SECONDS),
                "longest": float(LONGEST_SUMMARY_PAUSE_SECONDS),
            }
        )
        # Not repeated: a second time would count as a second failure.
        rows = self._database.run_once(OfUser(taken.user_id), _PUT_OFF, parameters)
        return PutOff(rows[0].failures, rows[0].pause) if rows else None

    def lose(self, user_id: str, session_id: UUID, voucher: Voucher) -> None:
        """Have a summary count no more that the agent-session store has lost: another is due."""
        parameters = {
            "user_id": user_id,
            "session_id": session_id,
            "summary_id": voucher.turn_id,
            "summary_attempt": voucher.attempt,
        }
        self._database.run(OfUser(user_id), _LOSE, parameters)

    def named(self, user_id: str, session_id: UUID) -> frozenset[UUID] | None:
        """Return the ids of the summaries that count or are being made; None if it is gone."""
        parameters = {"user_id": user_id, "session_id": session_id}
        rows = self._database.run(OfUser(user_id), _NAMED, parameters)
        if not rows:
            return None
        return frozenset(each for each in tuple(rows[0]) if each is not None)

    def of_session(self, user_id: str, session_id: UUID) -> SessionSummary:
        """Look at a session's summary.

        Raises:
            NotFound: The user has no such session.
        """
        parameters = {"user_id": user_id, "session_id": session_id}
        rows = self._database.run(OfUser(user_id), _OF_SESSION, parameters)
        if not rows:
            raise NotFound("session", session_id)
        (row,) = rows
        tokens = (row.summary_input_tokens, row.summary_output_tokens)
        untold = min(row.summary_uncounted_calls, row.summary_calls)
        known = untold < row.summary_calls
        told = Spent(
            calls=row.summary_calls,
            input=tokens[0] if known or tokens[0] else None,
            cached=None,
            output=tokens[1] if known or tokens[1] else None,
            reasoning=None,
            cost=row.summary_cost_nanodollars if row.summary_calls else 0,
            uncounted=untold,
            unpriced=max(0, row.summary_calls - row.summary_priced_calls),
        )
        usage = Usage(row.summary_calls, *tokens, spent=(told,) if row.summary_calls else ())
        voucher = voucher_of_summary(row)
        made_at = row.summary_made_at if voucher is not None else None
        return SessionSummary(voucher, row.summary_to, made_at, row.pending, usage)


def _of(taken: Taken, usage: Usage, spent: tuple[int, int]) -> dict[str, Any]:
    told = usage.in_all
    tokens, cost = spent
    priced = max(0, usage.model_calls - told.unpriced)
    return {
        "session_id": taken.session_id,
        "user_id": taken.user_id,
        "making_id": taken.id,
        "making_attempt": taken.attempt,
        **usage.counts(),
        "cost": None if told.cost is None or not priced else min(told.cost, COST_MAX),
        "priced_calls": priced,
        "uncounted_calls": min(told.uncounted, usage.model_calls),
        "spent_tokens": max(tokens, usage.input_tokens + usage.output_tokens),
        "spent_cost": min(max(cost, told.cost or 0), COST_MAX),
        "spent": to_json([each.to_json() for each in usage.spent]).decode(),
    }


def _taken(session_id: UUID, row: Row[Any], place: UUID | None) -> Taken:
    return Taken(
        session_id=session_id,
        user_id=row.user_id,
        agent=row.agent,
        id=row.summarising_id,
        attempt=row.summarising_attempt,
        to=row.summarising_to,
        numbers=tuple(row.numbers),
        before=voucher_of_summary(row),
        counts_money=row.counts_money,
        place=place,
    )


_TAKE = statement("take_summary")
_KEEP = statement("keep_summary")
_PUT_OFF = statement("put_off_summary")
_COUNT = statement("count_summary")
_LEAVE = text("SELECT FROM parley_leave_summary_place(CAST(:place AS uuid))")

_KEPT_BEFORE = text("""
SELECT window_from > greatest(memory_from, summary_to + 1) AS more FROM sessions
WHERE id = :session_id AND user_id = :user_id AND summary_id = CAST(:summary_id AS uuid)
  AND summary_attempt = :summary_attempt
""")

_LOSE = text("""
UPDATE sessions SET summary_id = NULL, summary_attempt = 0, summary_to = 0, summary_made_at = NULL,
  summarising_id = NULL, summarising_attempt = 0, summarising_to = 0, summarising_until = NULL
WHERE id = :session_id AND user_id = :user_id AND summary_id = :summary_id
  AND summary_attempt = :summary_attempt
""")

_NAMED = text("""
SELECT summary_id, summarising_id FROM sessions WHERE id = :session_id AND user_id = :user_id
""")

_OF_SESSION = text("""
SELECT CASE WHEN summary_to >= memory_from THEN summary_id END AS summary_id, summary_attempt,
  summary_to, summary_made_at, window_from > greatest(memory_from, summary_to + 1) AS pending,
  summary_calls, summary_input_tokens, summary_output_tokens, summary_cost_nanodollars,
  summary_priced_calls, summary_uncounted_calls
FROM sessions WHERE id = :session_id AND user_id = :user_id
""")
