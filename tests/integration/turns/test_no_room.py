"""What has no room in a budget is told why: it never fits, is only held for others, or is used."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from parley.errors import LimitReached
from parley.http.problems import answer
from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.fair_use import HELD_SECONDS, Reached, UserBudget
from parley.repository.turns import Begun, Held, NewSession, TurnRepository, Usage
from parley.repository.user_budgets import OwnBudget, UserBudgets
from parley.usage.prices import Price, Prices
from parley.usage.spent import Spent
from parley.usage.tokens import Tokens
from parley_testing.models.scripted import call
from parley_testing.scenarios.spending import SCRIPTED
from parley_testing.workbench import Workbench, held, request

ANSWER = 998
HELLO = 1_000
"""What the first call of a turn that says hello is expected to take."""
NANO = 1_000
"""What each token costs, in nanodollars."""
OPENS = NewSession(agent="todo", name=None, platform="api", metadata={})

LIMITS = {
    f"{whose}_{unit}_per_{period}": f"{'' if whose == 'user' else 'all_'}{unit}_per_{period}"
    for whose in ("user", "deployment")
    for unit in ("tokens", "usd")
    for period in ("day", "month")
}
"""The names of a budget's fields, by those of the limits."""


def opening(**fields: Any) -> Any:
    return request(new_id(), opens=OPENS, **fields)


def turns_under(database: Database, limit: str, most: int) -> TurnRepository:
    """A repository whose only budget this is, in tokens or as many nanodollars as those cost."""
    most *= NANO if "usd" in limit else 1
    budget = UserBudget(answer_tokens=ANSWER, **{LIMITS[limit]: most})
    turns = TurnRepository(database, window=100, budget=budget)
    turns.learn_rate("todo", (1_000 * NANO, 1_000 * NANO))
    return turns


def in_unit(limit: str, tokens: int) -> int:
    return tokens * (NANO if "usd" in limit else 1)


def complete(turns: TurnRepository, begun: Begun, tokens: int) -> None:
    spent = Spent.on_call("m", Tokens(input=tokens, output=0), tokens * NANO)
    turns.complete(held(begun), "hi", Usage().plus(spent), None)


def left_of(limit: str) -> float:
    """Seconds until the day, or the month, is over."""
    now = datetime.now(UTC)
    if limit.endswith("day"):
        return 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)
    first = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    return (first - now).total_seconds()


@pytest.mark.parametrize("limit", LIMITS)
def test_what_is_more_than_the_whole_budget_never_fits(database: Database, limit: str) -> None:
    turns = turns_under(database, limit, HELLO - 1)

    reached = turns.begin(opening()).reached

    assert reached is not None
    assert (reached.limit, reached.renews, reached.used) == (limit, None, 0)
    assert reached.expected == in_unit(limit, HELLO)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("new", [False, True], ids=["by id", "by name"])
def test_what_others_only_hold_is_worth_a_short_wait(
    database: Database, bench: Workbench, limit: str, new: bool
) -> None:
    """Given most of a budget held by turns that run and wait, then a moment is told, no day."""
    turns = turns_under(database, limit, 2 * HELLO + 500)
    other = "alice" if limit.startswith("user") else "bob"
    complete(turns, turns.begin(opening(user=other)), 400)
    turns.begin(opening(user=other), queue=True)
    session = bench.new_session()
    running = turns.begin(opening(user=other))

    reached = turns.begin(opening() if new else request(session)).reached

    assert reached is not None
    assert reached.limit == limit
    assert reached.renews == HELD_SECONDS or left_of(limit) < 60
    assert (reached.used, reached.held) == (in_unit(limit, 2_400), in_unit(limit, 2_000))
    complete(turns, running, 0)
    assert turns.begin(opening()).outcome == "running", "what was held came back"


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("dead", [False, True], ids=["spent", "held by who died"])
def test_what_is_used_up_renews_with_the_day_or_the_month(
    database: Database, sql: psycopg.Connection, limit: str, dead: bool
) -> None:
    """Given a budget that is spent, or held by an attempt that died, then only time helps."""
    turns = turns_under(database, limit, 2 * HELLO)
    begun = turns.begin(opening())
    if dead:
        turns.hold_tokens(held(begun), held=1_500, spent=0, held_cost=1_500 * NANO)
        sql.execute("UPDATE turns SET lease_expires_at = now() - interval '1 s'")
    else:
        complete(turns, begun, 1_500)

    reached = turns.begin(opening()).reached

    assert reached is not None
    assert (reached.limit, reached.held) == (limit, 0)
    assert reached.renews == pytest.approx(left_of(limit), abs=60)
    assert reached.used == in_unit(limit, 1_500)


def test_of_several_budgets_the_one_is_told_that_takes_longest(database: Database) -> None:
    """Given a month that is only held and a day that is used up, then the day is told."""
    limits = UserBudget(2_000, 2_900, ANSWER)
    turns = TurnRepository(database, window=100, budget=limits)
    done, other = turns.begin(opening()), held(turns.begin(opening()))
    assert isinstance(turns.hold_tokens(other, held=800, spent=0), Held)
    complete(turns, done, 1_200)

    used = turns.begin(opening()).reached
    UserBudgets(database, limits).put("alice", OwnBudget(tokens_per_month=HELLO - 1))
    never = turns.begin(opening()).reached

    assert used is not None
    assert never is not None
    assert (used.limit, used.used, used.held) == ("user_tokens_per_day", 2_000, 800)
    assert used.renews == pytest.approx(left_of(used.limit), abs=60)
    assert (never.limit, never.renews) == ("user_tokens_per_month", None)


def test_the_sender_is_told_which_it_is() -> None:
    at = datetime(2026, 12, 1, tzinfo=UTC)
    facts = {"limit": "user_tokens_per_day", "budget": 5_000}

    never = answer(
        LimitReached("user_tokens_per_day", 5_000, None, 200, expected=6_000, renews_at=at)
    )
    held_only = answer(
        LimitReached(
            "user_tokens_per_day", 5_000, 10.0, 4_800, held=3_000, expected=600, renews_at=at
        )
    )
    used = answer(
        LimitReached("user_usd_per_day", 5_000, 3_600.5, 4_800, expected=600, renews_at=at)
    )
    nothing = answer(LimitReached("user_usd_per_day", 0, None, 0, renews_at=at))

    assert (never.status, never.code, never.headers) == (409, "budget_exceeded", {})
    assert never.facts == {**facts, "used": 200, "held": 0, "expected": 6_000}
    assert never.detail == (
        "You may spend 5000 tokens a day, and the next call of the model was expected to take"
        " 6000, which never fits: waiting is of no use. Say less, begin a new session, or have an"
        " administrator allow more."
    )
    assert (held_only.status, held_only.headers) == (429, {"Retry-After": "10"})
    assert held_only.facts == {**facts, "used": 4_800, "held": 3_000, "expected": 600}
    assert held_only.detail == (
        "You may spend 5000 tokens a day; 1800 are spent and 3000 are held for calls that are not"
        " over; the next call of the model was expected to take 600; what they do not take comes"
        " back."
    )
    assert (used.status, used.headers) == (429, {"Retry-After": "3601"})
    assert used.detail == (
        "You may spend 0.000005 US dollars a day; 0.0000048 are spent; the next call of the model"
        " was expected to take 0.0000006; the next begins at 2026-12-01T00:00+00:00."
    )
    assert (nothing.status, nothing.headers) == (409, {})
    assert nothing.detail.endswith("nothing, until an administrator allows more.")


@pytest.mark.parametrize("whose", ["user", "deployment"])
async def test_a_turn_that_runs_is_told_what_others_hold_and_what_never_fits(
    new_bench: Any, whose: str
) -> None:
    field = "tokens_per_day" if whose == "user" else "all_tokens_per_day"
    bench = new_bench(user_budget=UserBudget(answer_tokens=ANSWER, **{field: 5_000}))
    turn = held(bench.turns.begin(opening()))
    other = held(bench.turns.begin(opening(user="alice" if whose == "user" else "bob")))
    assert isinstance(bench.turns.hold_tokens(other, held=2_800, spent=200), Held)

    waits = bench.turns.hold_tokens(turn, held=2_400, spent=100)
    never = bench.turns.hold_tokens(turn, held=5_001, spent=100)

    assert isinstance(waits, Reached)
    assert isinstance(never, Reached)
    assert (waits.used, waits.held, waits.expected) == (4_000, 2_800, 2_400)
    assert (waits.renews, never.renews) == (0.0, None)
    assert never.expected == 5_001


async def test_a_budget_in_money_is_heard_of_with_the_next_call(
    new_bench: Any, database: Database, sql: psycopg.Connection
) -> None:
    """Given a turn under a budget in tokens, when its user gets one in money, a price is asked."""
    asked: list[int] = []

    def script(_: Any) -> Any:
        asked.append(1)
        own = OwnBudget(usd_per_day=1_000_000 * NANO)
        UserBudgets(database, UserBudget()).put("alice", own)
        return call("list_tasks", "c1")

    bench = new_bench(script, user_budget=UserBudget(100_000))

    view = await bench.execute(held(bench.turns.begin(opening())))

    assert (view.turn.status, view.turn.error_code) == ("failed", "price_unknown")
    assert len(asked) == 1


async def test_and_where_a_price_is_known_it_is_held_to(new_bench: Any, database: Database) -> None:
    def script(_: Any) -> Any:
        UserBudgets(database, UserBudget()).put("alice", OwnBudget(usd_per_day=NANO))
        return call("list_tasks", "c1")

    bench = new_bench(
        script,
        user_budget=UserBudget(100_000),
        prices=Prices({SCRIPTED: Price(1_000_000, 1_000_000)}),
    )

    view = await bench.execute(held(bench.turns.begin(opening())))

    assert (view.turn.status, view.turn.error_code) == ("failed", "budget_exceeded")
    assert "You may spend 0.000001 US dollars a day, and the next call" in view.turn.error_detail


def day_of(sql: psycopg.Connection, table: str) -> tuple[int, int, int]:
    """How far the day that is counted lies ahead, and its tokens, and the month's."""
    row = sql.execute(
        "SELECT day - (clock_timestamp() AT TIME ZONE 'UTC')::date, day_tokens, month_tokens"
        f" FROM {table}"
    ).fetchone()
    return row or (0, 0, 0)


TABLES = ["user_limits", "deployment_spending"]


def counting(database: Database) -> TurnRepository:
    limits = UserBudget(10_000, 100_000, ANSWER, all_tokens_per_day=10_000)
    return TurnRepository(database, window=100, budget=limits)


@pytest.mark.parametrize("table", TABLES)
def test_a_hold_of_just_before_midnight_counts_for_the_day_before(
    database: Database, sql: psycopg.Connection, table: str
) -> None:
    """Given a begin that read the clock before midnight and is counted after it, the day is its."""
    turns = counting(database)
    begun = held(turns.begin(opening(), queue=False))
    sql.execute("DELETE FROM user_limits")
    sql.execute("DELETE FROM deployment_spending")
    # What counts the row comes to see it today: another session's turn, of yesterday's statement.
    sql.execute(
        "INSERT INTO turns (id, session_id, user_id, number, status, attempt, fingerprint, agent,"
        " budget_day, held_tokens, for_deployment)"
        " SELECT gen_random_uuid(), session_id, user_id, 2, 'queued', 0, '', agent,"
        " budget_day - 1, 1000, true FROM turns WHERE id = %s",
        [begun.id],
    )
    assert day_of(sql, table)[:2] == (0, 0), "it is not of today"

    sql.execute("UPDATE turns SET held_tokens = 0, spent_tokens = 1200 WHERE number = 2")

    assert day_of(sql, table)[:2] == (0, 200), "what became more than was held is"


@pytest.mark.parametrize("table", TABLES)
def test_a_day_that_others_have_begun_is_not_taken_back(
    database: Database, sql: psycopg.Connection, table: str
) -> None:
    """Given a row that is in the next day already, a late hold of today's leaves that as it is."""
    turns = counting(database)
    first = held(turns.begin(opening()))
    for each in TABLES:
        sql.execute(f"UPDATE {each} SET day = day + 1, day_tokens = 700, month_tokens = 700")

    late = held(turns.begin(opening()))
    assert day_of(sql, table)[:2] == (1, 700)
    turns.complete(first, "hi", Usage(1, 1_100, 0), None)

    assert day_of(sql, table)[:2] == (1, 800)
    turns.complete(late, "hi", Usage(1, 10, 0), None)
    assert day_of(sql, table)[:2] == (1, 800)
