"""The life of a turn: begun, kept, completed, stopped, let go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError

from parley.errors import StoreUnavailable
from parley.fingerprints import all_of
from parley.ids import SUMMARY_NUMBER, TurnKey, Voucher, new_id
from parley.repository.begin import BEGIN_BY_ID, BEGIN_BY_NAME, MAX_QUEUED, PACE_TURNS
from parley.repository.claim import CLAIM, NOT_ACTIVE
from parley.repository.database import Database, sqlstate
from parley.repository.end import (
    COMPLETE,
    COMPLETED_BEFORE,
    FENCE,
    HOLD_TOKENS,
    RELEASE,
    RENEW,
    STOP,
    STOP_BARELY,
    STOPPED_BEFORE,
)
from parley.repository.fair_use import (
    HELD_SECONDS,
    UNBOUNDED,
    UNLIMITED,
    FairUse,
    Reached,
    UserBudget,
)
from parley.repository.scope import OfSession, OfUser
from parley.repository.states import TurnStatus
from parley.repository.streams import NO_PLACE, Place
from parley.retry import with_retry
from parley.timing import LEASE_SECONDS
from parley.usage.spent import Spent, by_model, in_all
from parley.usage.tokens import COUNT_MAX, Tokens

COST_MAX = 10**16
"""What one turn counts at most for budgets in money: ten million dollars, so that sums fit."""

NANODOLLARS_MAX = 2**63 - 1
"""The most that a turn's cost holds: Postgres's `bigint`."""

Outcome = Literal[
    "running", "queued", "prior", "key_reused", "resume", "busy", "not_found", "not_active",
    "queue_full", "limit_reached",
]  # fmt: skip

_NO_ROOM = "PB001"
"""The code with which the trigger on turns refuses what exceeds the budget of all users."""

_TRIES = 100
"""How often one who is refused so looks again; each time others have taken and given back since."""

_UNIQUE_VIOLATION = "23505"

BYTES_A_TOKEN = 4
"""How many bytes of a request are taken for one token, before the server has counted them."""


def tokens_of(size: int) -> int:
    """Return how many tokens so many bytes are taken for."""
    return -(-size // BYTES_A_TOKEN)


@dataclass(frozen=True, slots=True)
class NewSession:
    """What a session is opened with, and what finds one that is there.

    Attributes:
        name: Finds the session, and is what a new one is named.
        key: The idempotency key that it was made with, or is; finds it as well.
        fingerprint: That of what made it, if there is a key.
        known_as: The id of the session, if there may be one; finds it as well.
        known_with: The agent that it must have to be found by its id; None if any will do.
    """

    agent: str
    name: str | None
    platform: str
    metadata: Mapping[str, Any]
    key: str | None = None
    fingerprint: bytes | None = None
    known_as: UUID | None = None
    known_with: str | None = None


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """What a begin needs to know. Its ids are made once, so that it may be sent again.

    Attributes:
        session_id: The session's, or, where `opens` is set, the one that a new session gets.
        opens: Fields of the session to open if neither key nor name finds one; None where the
            session must be there.
        fingerprint: A digest of all that makes this request the same as another.
        request_id: Of the API's request, where one asks.
        place: That of the stream which is to tell the turn, to be taken with it.
        behind_waiting: Whether it may be enqueued behind a turn that waits for somebody, who may
            take days.
    """

    user_id: str
    session_id: UUID
    turn_id: UUID
    message_id: UUID
    text: str
    idempotency_key: str | None
    fingerprint: bytes
    opens: NewSession | None = None
    request_id: str | None = None
    place: Place | None = None
    behind_waiting: bool = True


@dataclass(frozen=True, slots=True)
class RunningTurn:
    """A turn that this process holds.

    Attributes:
        number: Its place in the session.
        attempt: The fence: all that this process writes for the turn names it.
        crashes: How many earlier attempts died.
        message_id: The user's message, and `text` what it says.
        remembered: Earlier turns that left memory, newest first: what Postgres vouches for.
        cancel_requested: Whether it was taken over only to be ended.
        pauses: How often it has waited for decisions.
        waiting_sequence: Where its log tells that it last waited, or is to; None if it never did.
        summary: The summary of the turns before those, if there is one; vouched for as they are.
        summary_due: Whether turns were left behind that no summary covers, and nobody makes one.
        has_budget: Whether its user has a budget.
        first_held: The tokens that are held of that for its first call of the model; 0 if that is
            to be asked for, as of a turn that waited: what was expected then is long out of date.
        counts_money: Whether something bounds what its calls cost.
    """

    id: UUID
    session_id: UUID
    user_id: str
    number: int
    attempt: int
    crashes: int
    agent: str
    message_id: UUID
    text: str
    created_at: datetime
    started_at: datetime
    remembered: tuple[Voucher, ...]
    cancel_requested: bool = False
    pauses: int = 0
    waiting_sequence: int | None = None
    summary: Voucher | None = None
    summary_due: bool = False
    has_budget: bool = False
    first_held: int = 0
    counts_money: bool = False

    @property
    def key(self) -> TurnKey:
        """What names it outside of Postgres."""
        return TurnKey(self.number, self.id)

    @property
    def tries(self) -> int:
        """Which try this is, from 1: a pause uses up a number, and so does going on after it."""
        return self.attempt - 2 * self.pauses


@dataclass(frozen=True, slots=True)
class Begun:
    """The begin statement's answer.

    Attributes:
        outcome: What happened; `running` and `resume` come with a turn that is now ours.
        turn_id: The turn that the outcome is about: ours, the earlier one or the one in the way.
        own: Whether that turn is the one that the request asks for.
        turn: The turn to run, if it is ours.
        session_status: The session's, if there is one.
        ahead: Of a turn that waits, how many of those before it wait as well.
        pace: Of a turn that waits, how many seconds the fastest of the session's last completed
            turns took; None if none has completed.
        reached: Which limit of the user's is in the way, if one is.
        behind_waiting: Whether it is queued behind a turn that waits for somebody, who may take
            days.
    """

    outcome: Outcome
    session_id: UUID
    turn_id: UUID | None
    own: bool
    status: TurnStatus | None
    turn: RunningTurn | None
    session_status: str | None
    ahead: int = 0
    pace: float | None = None
    reached: Reached | None = None
    behind_waiting: bool = False

    @property
    def least_seconds(self) -> float:
        """For how many seconds a turn that waits goes on at least, as far as can be known.

        Each turn before it, and the turn itself, is taken to be as fast as the fastest of the last
        ones; what is left of the one that runs is not counted.
        """
        return (self.ahead + 1) * (self.pace or 0.0)


@dataclass(frozen=True, slots=True)
class HeadClaim:
    """The claim statement's answer.

    Attributes:
        outcome: `claimed`: the head of the session's queue is ours; `held`: somebody runs it now;
            `waiting`: the head waits for something that is not there yet;
            `none`: the session has no open turn, or is gone; `refused`: the head waited in a
            session that is not active, and has failed now; there may be another.
        turn: The turn to run, if it was claimed.
        left: Of one that is held, how many seconds its lease has left.
        user_id: Whose it is.
    """

    outcome: Literal["claimed", "held", "waiting", "none", "refused"]
    turn: RunningTurn | None = None
    left: float = field(default=0.0, compare=False)
    user_id: str | None = field(default=None, compare=False)


MODEL_STEPS_MAX = 200
"""How many of a turn's calls of the model are told of one by one."""


class ModelStep(TypedDict):
    """What became of one call of the model, as JSON.

    `error` is the type of the exception that it failed with, `ended_at` a time in ISO's form, and
    `spent` what it came to, as `Spent.to_json` gives it; None if it was not counted.
    """

    name: str
    error: str | None
    milliseconds: int
    ended_at: str
    spent: NotRequired[Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a turn's model calls came to, over all attempts.

    A server may say that it took more tokens than there are: what a column cannot hold is made the
    most that it can.

    Attributes:
        input_tokens: The sum of what is known, and so with `output_tokens`.
        steps: The first of the calls, as they ended, those that failed among them.
        spent: What the calls of each model came to. Of the release before there are only counts.
    """

    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    steps: tuple[ModelStep, ...] = field(default=(), compare=False)
    spent: tuple[Spent, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        """Bring each count into what a column can hold."""
        object.__setattr__(self, "steps", self.steps[:MODEL_STEPS_MAX])
        if self.model_calls and not self.spent:
            told = Tokens(input=self.input_tokens, output=self.output_tokens)
            spent = replace(Spent.on_call("", told, None), calls=self.model_calls)
            object.__setattr__(self, "spent", (replace(spent, unpriced=self.model_calls),))
        for name in ("model_calls", "input_tokens", "output_tokens"):
            count = min(max(getattr(self, name), 0), COUNT_MAX)
            object.__setattr__(self, name, count)

    def plus(self, spent: Spent) -> Usage:
        """Return this and what further calls of a model came to."""
        return Usage(
            self.model_calls + spent.calls,
            self.input_tokens + (spent.input or 0),
            self.output_tokens + (spent.output or 0),
            self.steps,
            by_model((*self.spent, spent)),
        )

    @property
    def in_all(self) -> Spent:
        """What the calls of all models came to."""
        return in_all(self.spent)

    def counts(self) -> dict[str, int]:
        """Return the counts, by name."""
        return {
            "model_calls": self.model_calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }


@dataclass(frozen=True, slots=True)
class Ending:
    """How a turn ended without a reply.

    Attributes:
        status: `failed` or `cancelled`.
        code: A word for programs, such as `model_failed`.
        detail: A sentence for people, without secrets.
        remembered: Whether the turn left a note in memory (because its tools had effects).
    """

    status: Literal["failed", "cancelled"]
    code: str
    detail: str
    remembered: bool


@dataclass(frozen=True, slots=True)
class Completion:
    """What completing a turn wrote.

    Attributes:
        message_id: The reply's, which was made at `created_at`.
        ended_at: When the turn ended.
        more: Whether another turn of the session waits.
    """

    message_id: UUID
    created_at: datetime
    ended_at: datetime
    more: bool


@dataclass(frozen=True, slots=True)
class Renewed:
    """What renewing a lease told.

    Attributes:
        has_budget: Whether the turn's user has a budget of their own now.
        counts_money: Whether that is in money.
    """

    has_budget: bool = False
    counts_money: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """What holding of budgets told.

    Attributes:
        counts_money: Whether one of them is in money.
    """

    counts_money: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What an attempt that lets its turn go knows of its calls.

    Attributes:
        tokens: What those took that are recorded, and `cost` in nanodollars.
        open_tokens: What others took that are over, or were broken off, and `open_cost`: the next
            attempt asks them again.
    """

    tokens: int = 0
    cost: int = 0
    open_tokens: int = 0
    open_cost: int = 0


@dataclass(frozen=True, slots=True)
class Stopped:
    """What stopping a turn told.

    Attributes:
        more: Whether another turn of the session waits.
    """

    more: bool


class TurnRepository:
    """The turns of all sessions. Methods block, and raise `StoreUnavailable`."""

    def __init__(
        self,
        database: Database,
        *,
        window: int,
        fair_use: FairUse = UNLIMITED,
        budget: UserBudget = UNBOUNDED,
    ) -> None:
        """Keep the way to Postgres.

        Args:
            database: Where the tables are.
            window: How many remembered turns a begin returns at most.
            fair_use: What one user may have.
            budget: What one user may spend, and all together.
        """
        self._budget = budget
        self._limits = to_json(budget.limits).decode()
        self._rates: dict[str, tuple[int, int]] = {}
        self._database = database
        self._window = window
        self._fair_use = fair_use

    def begin(self, request: TurnRequest, *, enqueue: bool = False, queue: bool = False) -> Begun:
        """Number and insert the turn with its user message, or say why not. One round trip.

        It may be sent again with the same request: it then finds what the first one made.

        Args:
            request: The turn wanted.
            enqueue: Wait behind the turns that are open instead of being refused.
            queue: Leave the turn for a worker even if nothing runs, and take no turn over. One
                whose attempt died is then not in the way, if none waits behind it.
        """
        parameters = {
            "user_id": request.user_id,
            "session_id": request.session_id,
            "turn_id": request.turn_id,
            "message_id": request.message_id,
            "text": request.text,
            "request_id": request.request_id,
            "key": request.idempotency_key,
            "fingerprint": bytes(request.fingerprint),
            "fingerprints": list(all_of(request.fingerprint)),
            "lease": float(LEASE_SECONDS),
            "window": self._window,
            "enqueue": enqueue,
            "behind_waiting": request.behind_waiting,
            "queue": queue,
            "max_queued": MAX_QUEUED,
            "pace_turns": PACE_TURNS,
            "max_open_turns": self._fair_use.open_turns,
            "turns_per_minute": self._fair_use.turns_per_minute,
            "text_tokens": tokens_of(len(request.text.encode())),
            "answer_tokens": self._budget.answer_tokens,
            "limits": self._limits,
            "rates": to_json(self._rates).decode(),
            "max_streams": self._fair_use.streams,
            "held_pause": HELD_SECONDS,
            **(NO_PLACE if request.place is None else request.place.parameters()),
        }
        statement = BEGIN_BY_ID
        if request.opens is not None:
            statement = BEGIN_BY_NAME
            parameters |= {
                "agent": request.opens.agent,
                "name": request.opens.name,
                "platform": request.opens.platform,
                "metadata": to_json(request.opens.metadata).decode(),
                "session_key": request.opens.key,
                "session_fingerprint": request.opens.fingerprint,
                "known_as": request.opens.known_as,
                "known_with": request.opens.known_with,
                "max_sessions": self._fair_use.sessions,
                "max_metadata_bytes": self._fair_use.metadata_bytes,
            }
        scope = OfUser(request.user_id, alone=self._fair_use.counted or self._budget.is_set)
        refusals = 0
        while refusals < _TRIES:
            try:
                (row,) = self._database.run(scope, statement, parameters)
            except DBAPIError as error:
                if sqlstate(error) not in (_UNIQUE_VIOLATION, _NO_ROOM):
                    raise
                # Another request made the same key's turn meanwhile, or took what was left of the
                # deployment's budget: see it.
                refusals += sqlstate(error) == _NO_ROOM
                continue
            if row.outcome != "again":
                return _begun(row, request)
        raise StoreUnavailable("postgres", _NO_ROOM)

    def claim_head(self, session_id: UUID) -> HeadClaim:
        """Take the open turn of a session that comes first, if nobody runs it. One round trip.

        Raises:
            StoreUnavailable: Postgres cannot serve now, or could not for a moment: a turn that is
                held may then be the one that this call took without being told, so the session
                must be looked at again when that lease has run out.
        """
        parameters = {
            "session_id": session_id,
            "lease": float(LEASE_SECONDS),
            "window": self._window,
            "code": NOT_ACTIVE,
            "detail": "The session was not active any more when the turn's time came.",
        }
        failed: list[StoreUnavailable] = []

        def once() -> Row[Any]:
            try:
                (row,) = self._database.run_once(OfSession(session_id), CLAIM, parameters)
            except StoreUnavailable as error:
                failed.append(error)
                raise
            return row

        while True:
            row = with_retry(once)
            if row.outcome == "held" and failed:
                raise failed[-1]
            if row.outcome != "again":
                turn = (
                    _claimed(row, counts_money=self._budget.counts_money)
                    if row.outcome == "claimed"
                    else None
                )
                return HeadClaim(row.outcome, turn, row.left or 0.0, row.head_user_id)

    def complete(
        self,
        turn: RunningTurn,
        reply: str,
        usage: Usage,
        digest: str | None,
        window_from: int | None = None,
        spent: int = 0,
        spent_cost: int = 0,
    ) -> Completion | None:
        """Complete the turn with its reply. One round trip.

        Args:
            turn: The turn, with the attempt that has it.
            reply: What the agent answered.
            usage: What its model calls came to.
            digest: Of the agent's structure.
            window_from: The number of the turn at which the session's window begins from now on;
                None where it has not moved.
            spent: The tokens that count for budgets, if they are more than were told.
            spent_cost: The nanodollars, likewise.

        Returns:
            What was written, also if an earlier call wrote it and its answer was lost; None if
            this attempt was replaced, or the turn was stopped or deleted.
        """
        parameters = _of_attempt(turn, usage, digest, spent, spent_cost)
        parameters |= {"message_id": new_id(), "reply": reply, "window_from": window_from or 0}
        rows = self._database.run(OfUser(turn.user_id), COMPLETE, parameters)
        if rows:
            return _completion(rows[0])
        return self._completed_before(turn)

    def stop(
        self,
        turn: RunningTurn,
        ending: Ending,
        usage: Usage,
        digest: str | None,
        spent: int = 0,
        spent_cost: int = 0,
        *,
        calls_known: bool = False,
    ) -> Stopped | None:
        """Fail or cancel the turn, with what `complete` is told. One round trip.

        Args:
            turn: The turn, with the attempt that has it.
            ending: How it ends.
            usage: What its model calls came to.
            digest: Of the agent's structure.
            spent: As with `complete`.
            spent_cost: Likewise.
            calls_known: Whether its calls were made one after the other, so that none is under way
                if more were recorded than were settled.

        Returns:
            What follows, also if an earlier call stopped it so and its answer was lost; None if
            this attempt was replaced, or the turn ended otherwise or was deleted.
        """
        parameters = _of_attempt(turn, usage, digest, spent, spent_cost) | {
            "status": ending.status,
            "error_code": ending.code,
            "error_detail": ending.detail,
            "remembered": ending.remembered,
            "calls_known": calls_known,
        }
        scope = OfUser(turn.user_id)
        rows = self._database.run(scope, STOP, parameters) or self._database.run(
            scope, STOPPED_BEFORE, parameters
        )
        return Stopped(rows[0].more) if rows else None

    def stop_barely(self, turn: RunningTurn, ending: Ending) -> Stopped | None:
        """Do the same where Postgres refuses to: without usage, and in no other table.

        Returns:
            As `stop` does.
        """
        parameters = {
            "session_id": turn.session_id,
            "turn_id": turn.id,
            "attempt": turn.attempt,
            "status": ending.status,
            "error_code": ending.code,
            "error_detail": ending.detail,
            "remembered": ending.remembered,
        }
        scope = OfUser(turn.user_id)
        rows = self._database.run(scope, STOP_BARELY, parameters) or self._database.run(
            scope, STOPPED_BEFORE, parameters
        )
        return Stopped(rows[0].more) if rows else None

    def fence(self, turn: RunningTurn) -> RunningTurn | None:
        """Hold the turn as another attempt, so that what still runs for this one has no effect.

        Whatever is being committed for it is waited for, and is committed when this returns.

        Returns:
            The turn under its new attempt; None if this one was replaced, or the turn is over.
        """
        parameters = {"turn_id": turn.id, "attempt": turn.attempt, "lease": float(LEASE_SECONDS)}
        # Not repeated: of a try whose answer was lost, the lease runs out.
        if not self._database.run_once(OfUser(turn.user_id), FENCE, parameters):
            return None
        return replace(turn, attempt=turn.attempt + 1)

    def hold_tokens(
        self, turn: RunningTurn, *, held: int, spent: int, held_cost: int = 0, spent_cost: int = 0
    ) -> Reached | Held | None:
        """Hold of the budgets for calls of the model, and the turn for another lease.

        Args:
            turn: The turn, with the attempt that has it.
            held: The tokens that calls are expected to take which are made now, the next among
                them.
            spent: What those that are over took.
            held_cost: What those that are made now are expected to cost, in nanodollars.
            spent_cost: What those that are over cost.

        Returns:
            The limit that leaves no room, or what was held; None if this attempt was replaced.
        """
        parameters = {
            "user_id": turn.user_id,
            "turn_id": turn.id,
            "attempt": turn.attempt,
            "lease": float(LEASE_SECONDS),
            "held": held,
            "settled": spent,
            "held_cost": min(held_cost, COST_MAX),
            "settled_cost": min(spent_cost, COST_MAX),
            "limits": self._limits,
        }
        scope = OfUser(turn.user_id, alone=True)
        for _ in range(_TRIES):
            try:
                (row,) = self._database.run(scope, HOLD_TOKENS, parameters)
            except DBAPIError as error:
                if sqlstate(error) != _NO_ROOM:
                    raise
                continue  # others took what was left of the deployment's budget: see it
            if row.reached is not None:
                return _reached(row)
            return Held(counts_money=row.counts_money) if row.turn_id is not None else None
        raise StoreUnavailable("postgres", _NO_ROOM)

    def learn_rate(self, agent: str, rate: tuple[int, int] | None) -> None:
        """Keep what the model of an agent costs, for what begins in this process from now on.

        Args:
            agent: The agent, as it is offered.
            rate: Of a token that is sent and of one that comes back, in picodollars; None if it is
                not known.
        """
        if rate is None:
            self._rates.pop(agent, None)
        else:
            self._rates[agent] = rate

    def renew(self, turn: RunningTurn) -> Renewed | None:
        """Hold the turn for another lease; None if this attempt was replaced."""
        parameters = {"turn_id": turn.id, "attempt": turn.attempt, "lease": float(LEASE_SECONDS)}
        rows = self._database.run(OfUser(turn.user_id), RENEW, parameters)
        return Renewed(rows[0].has_budget, rows[0].counts_money) if rows else None

    def release(
        self, turn: RunningTurn, *, crashed: bool = False, known: Known | None = None
    ) -> bool:
        """Let the next attempt have the turn now.

        Args:
            turn: The turn.
            crashed: Whether this counts as one of the crashes that a turn may have.
            known: What its calls took; None where who lets go has not made them.

        Returns:
            False if this attempt was replaced or the turn is over.
        """
        told = known or Known()
        parameters = {
            "turn_id": turn.id,
            "attempt": turn.attempt,
            "crashed": crashed,
            "settles": known is not None,
            "held": told.open_tokens,
            "settled": told.tokens,
            "held_cost": min(told.open_cost, COST_MAX),
            "settled_cost": min(told.cost, COST_MAX),
        }
        return bool(self._database.run(OfUser(turn.user_id), RELEASE, parameters))

    def _completed_before(self, turn: RunningTurn) -> Completion | None:
        parameters = {"turn_id": turn.id, "attempt": turn.attempt}
        rows = self._database.run(OfUser(turn.user_id), COMPLETED_BEFORE, parameters)
        return _completion(rows[0]) if rows else None


def _claimed(row: Row[Any], *, counts_money: bool) -> RunningTurn:
    counts_money |= bool(row.counts_money)
    return replace(
        taken_over(row, row.remembered),
        summary=voucher_of_summary(row),
        summary_due=bool(row.summary_due),
        has_budget=bool(row.has_budget),
        counts_money=counts_money,
    )


def _reached(row: Row[Any]) -> Reached:
    renews, held, expected = row.renews, row.held or 0, row.expected or 0
    return Reached(row.reached, row.most, renews, row.used, row.ends, held, expected)


def _completion(row: Row[Any]) -> Completion:
    return Completion(row.message_id, row.created_at, row.ended_at, row.more)


def _of_attempt(
    turn: RunningTurn, usage: Usage, digest: str | None, spent: int = 0, spent_cost: int = 0
) -> dict[str, Any]:
    return {
        "session_id": turn.session_id,
        "turn_id": turn.id,
        "attempt": turn.attempt,
        "agent_digest": digest,
        **usage.counts(),
        **_sums(usage.in_all),
        "spent": to_json([each.to_json() for each in usage.spent]).decode(),
        "spent_tokens": max(spent, usage.input_tokens + usage.output_tokens),
        "spent_cost": min(max(spent_cost, usage.in_all.cost or 0), COST_MAX),
        "model_steps": to_json(usage.steps).decode() if usage.steps else None,
    }


def _sums(spent: Spent) -> dict[str, int | None]:
    """Return what a turn's row has beside the counts."""
    return {
        "cached_tokens": _at_most(COUNT_MAX, spent.cached),
        "reasoning_tokens": _at_most(COUNT_MAX, spent.reasoning),
        "cost_nanodollars": _at_most(NANODOLLARS_MAX, spent.cost),
        "uncounted_calls": spent.uncounted,
        "unpriced_calls": spent.unpriced,
    }


def _at_most(limit: int, value: int | None) -> int | None:
    return None if value is None else min(value, limit)


def as_usage(spent: Spent) -> dict[str, Any]:
    """Return what one call came to as it is recorded, for this release and the one before."""
    tokens = {"input_tokens": spent.input or 0, "output_tokens": spent.output or 0}
    return {**tokens, "spent": spent.to_json()}


def spent_of(usage: Mapping[str, Any]) -> Spent:
    """Read what one call came to, as this release recorded it or the one before."""
    if "spent" in usage:
        return Spent.from_json(usage["spent"])
    told = Tokens(input=usage["input_tokens"], output=usage["output_tokens"])
    return Spent.on_call("", told, None)


def _begun(row: Row[Any], request: TurnRequest) -> Begun:
    # A turn of our own id that is still at its first attempt is the one that an earlier begin of
    # ours made, whose answer was lost; unless it waited, and was started by who claimed it.
    made_before = row.outcome == "prior" and row.turn_id == request.turn_id
    first = row.status == "running" and row.attempt == 1 and row.started_at == row.created_at
    mine = made_before and first
    held = row.outcome in ("running", "resume") or mine
    return Begun(
        outcome="running" if mine else row.outcome,
        session_id=row.session_id or request.session_id,
        turn_id=row.turn_id,
        own=row.turn_id is not None and row.turn_id == row.own_turn_id,
        status=row.status,
        turn=_held(row, request) if held else None,
        session_status=row.session_status,
        ahead=row.ahead or 0,
        pace=row.pace,
        reached=None if row.reached is None else _reached(row),
        behind_waiting=bool(row.behind_waiting),
    )


def _held(row: Row[Any], request: TurnRequest) -> RunningTurn:
    return RunningTurn(
        id=row.turn_id,
        session_id=row.session_id,
        user_id=request.user_id,
        number=row.number,
        attempt=row.attempt,
        crashes=row.crashes,
        agent=row.agent,
        message_id=row.said_before_id or request.message_id,
        text=request.text if row.said_before is None else row.said_before,
        created_at=row.created_at,
        started_at=row.started_at,
        remembered=Voucher.all_of(row.remembered),
        cancel_requested=row.cancel_requested,
        pauses=row.pauses,
        waiting_sequence=row.waiting_sequence,
        summary=voucher_of_summary(row),
        summary_due=bool(row.summary_due),
        has_budget=bool(row.has_budget),
        first_held=row.first_held or 0,
        counts_money=bool(row.counts_money),
    )


def voucher_of_summary(row: Row[Any]) -> Voucher | None:
    """Read which summary counts from what a statement gives."""
    if row.summary_id is None:
        return None
    return Voucher(SUMMARY_NUMBER, row.summary_attempt, row.summary_id)


def taken_over(row: Row[Any], remembered: Sequence[tuple[int, int, str]] = ()) -> RunningTurn:
    """Read the turn that a statement took for this process, without having been told its text."""
    return RunningTurn(
        id=row.turn_id,
        session_id=row.session_id,
        user_id=row.user_id,
        number=row.number,
        attempt=row.attempt,
        crashes=row.crashes,
        agent=row.agent,
        message_id=row.message_id,
        text=row.said,
        created_at=row.created_at,
        started_at=row.started_at,
        remembered=Voucher.all_of(remembered),
        cancel_requested=row.cancel_requested,
        pauses=row.pauses,
        waiting_sequence=row.waiting_sequence,
    )
