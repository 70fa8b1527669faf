"""Budgets in money, and of all users together: held before a call, settled after it."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from parley.errors import LimitReached
from parley.http.problems import answer
from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.fair_use import UserBudget
from parley.repository.turns import Held, NewSession, TurnRepository, Usage
from parley.turns.budget import TurnBudget
from parley.usage.prices import Price, Prices
from parley.usage.spent import Spent
from parley.usage.tokens import Tokens
from parley_testing.models.scripted import INPUT_TOKENS, OUTPUT_TOKENS, call, in_order, say
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.scenarios.at_once import at_once
from parley_testing.scenarios.spending import SCRIPTED
from parley_testing.workbench import held, request

ANSWER = 998
HELLO = 1_000
"""What the first call of a turn that says hello is expected to take."""
NANO = 1_000
"""What each token costs, in nanodollars: a dollar for a million."""
TOOK = (INPUT_TOKENS + OUTPUT_TOKENS) * NANO
PRICES = Prices({SCRIPTED: Price(1_000_000, 1_000_000)})
OPENS = NewSession(agent="todo", name=None, platform="api", metadata={})
RATE = (1_000_000, 1_000_000)


def opening(**fields: Any) -> Any:
    return request(new_id(), opens=OPENS, **fields)


def of_user(sql: psycopg.Connection, user: str = "alice") -> tuple[int, int]:
    """The nanodollars of a user's day and month."""
    row = sql.execute(
        "SELECT day_nanodollars, month_nanodollars FROM user_limits WHERE user_id = %s", (user,)
    ).fetchone()
    return row or (0, 0)


def of_all(sql: psycopg.Connection) -> tuple[int, int]:
    """The tokens and the nanodollars of all users' day."""
    row = sql.execute("SELECT day_tokens, day_nanodollars FROM deployment_spending").fetchone()
    return row or (0, 0)


def repository(database: Database, **limits: int) -> TurnRepository:
    turns = TurnRepository(database, window=100, budget=UserBudget(answer_tokens=ANSWER, **limits))
    turns.learn_rate("todo", RATE)
    return turns


@pytest.mark.parametrize("period", ["day", "month"])
def test_what_the_first_call_is_expected_to_cost_is_held_by_the_begin(
    database: Database, sql: psycopg.Connection, period: str
) -> None:
    limits = {f"usd_per_{period}": 2_500 * NANO}
    turns = repository(database, **limits)
    for _ in range(2):
        assert held(turns.begin(opening())).first_held == HELLO

    refused = turns.begin(opening())

    assert of_user(sql) == (2 * HELLO * NANO,) * 2
    assert refused.reached is not None
    assert (refused.reached.limit, refused.reached.most, refused.reached.used) == (
        f"user_usd_per_{period}", 2_500 * NANO, 2 * HELLO * NANO,
    )  # fmt: skip
    assert turns.begin(opening(user="bob")).outcome == "running"


def test_what_a_turn_cost_is_settled_with_it(database: Database, sql: psycopg.Connection) -> None:
    turns = repository(database, usd_per_month=10_000 * NANO)
    first, dead = (held(turns.begin(opening())) for _ in range(2))
    spent = Spent.on_call("m", Tokens(input=100, output=20), 120 * NANO)

    for _ in range(2):  # the first answer was lost
        turns.complete(first, "hi", Usage().plus(spent), None)
    sql.execute(
        "UPDATE turns SET lease_expires_at = now() - interval '1 s' WHERE id = %s", [dead.id]
    )
    taken = turns.claim_head(dead.session_id).turn

    assert taken is not None
    assert not taken.first_held
    # Whether the provider was asked for what the dead attempt held, nobody knows.
    assert of_user(sql) == ((120 + HELLO) * NANO,) * 2
    assert isinstance(turns.hold_tokens(taken, held=5, spent=0, held_cost=5 * NANO), Held)
    assert of_user(sql) == ((125 + HELLO) * NANO,) * 2
    assert turns.hold_tokens(dead, held=5, spent=0, held_cost=9_000 * NANO) is None


def test_all_users_together_spend_no_more_than_they_may(
    database: Database, sql: psycopg.Connection
) -> None:
    turns = repository(database, all_tokens_per_day=2_500, all_usd_per_month=50_000 * NANO)
    begun = [held(turns.begin(opening(user=user))) for user in ("alice", "bob")]

    refused = turns.begin(opening(user="carol"))

    assert refused.outcome == "limit_reached"
    assert refused.reached is not None
    assert (refused.reached.limit, refused.reached.used) == (
        "deployment_tokens_per_day", 2 * HELLO,
    )  # fmt: skip
    assert refused.reached.renews is not None
    assert of_all(sql) == (2 * HELLO, 2 * HELLO * NANO)
    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (2,)
    turns.complete(begun[0], "hi", Usage(1, 10, 0), None)
    assert of_all(sql) == (HELLO + 10, HELLO * NANO)
    assert turns.begin(opening(user="carol")).outcome == "running"


@pytest.mark.parametrize("unit", ["tokens", "usd"])
def test_users_at_once_hold_no_more_together_than_there_is(
    database_url: str, sql: psycopg.Connection, unit: str
) -> None:
    """Each of them sees what all have spent as it was before the others: the trigger sees all."""
    most = 7 * HELLO * (NANO if unit == "usd" else 1)

    def begin(database: Database, number: int) -> str:
        turns = repository(database, **{f"all_{unit}_per_month": most})
        return turns.begin(opening(user=f"user-{number}")).outcome

    outcomes = at_once(database_url, 20, begin)

    assert sorted(set(outcomes)) == ["limit_reached", "running"]
    assert outcomes.count("running") == 7
    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (7,)
    assert of_all(sql) == (7 * HELLO, 7 * HELLO * NANO)


def test_calls_of_many_users_at_once_hold_no_more_together_than_there_is(
    database_url: str, database: Database, sql: psycopg.Connection
) -> None:
    most = 20 * HELLO + 4_000
    turns = repository(database, all_tokens_per_month=most)
    running = [held(turns.begin(opening(user=f"user-{number}"))) for number in range(20)]

    def hold(database: Database, number: int) -> bool:
        each = repository(database, all_tokens_per_month=most)
        return isinstance(each.hold_tokens(running[number], held=HELLO, spent=HELLO), Held)

    assert sum(at_once(database_url, 20, hold)) == 4
    assert of_all(sql)[0] == most


def test_without_a_budget_of_all_users_their_row_is_not_touched(
    database: Database, sql: psycopg.Connection
) -> None:
    turns = repository(database, usd_per_day=10_000 * NANO, tokens_per_day=10_000)
    turn = held(turns.begin(opening()))
    turns.hold_tokens(turn, held=10, spent=10)
    turns.complete(turn, "hi", Usage(1, 10, 0), None)

    assert sql.execute("SELECT FROM deployment_spending").rowcount == 0


def test_a_budget_of_all_users_that_is_new_counts_from_the_next_call_on(
    database: Database, sql: psycopg.Connection
) -> None:
    before = held(repository(database, tokens_per_day=10_000).begin(opening()))
    turns = repository(database, tokens_per_day=10_000, all_tokens_per_day=10_000)

    assert isinstance(turns.hold_tokens(before, held=300, spent=700), Held)
    assert of_all(sql)[0] == 300
    turns.complete(before, "hi", Usage(2, 900, 0), None, 900)

    assert of_all(sql)[0] == 200


async def test_a_turn_without_tools_takes_two_round_trips_once_its_price_is_learnt(
    database_url: str, new_bench: Any, sql: psycopg.Connection
) -> None:
    with PostgresWire(database_url) as wire:
        database = Database(lambda: wire.url, statement_timeout=10)
        bench = new_bench(
            in_order(*[say("Hi.")] * 3),
            database=database,
            prices=PRICES,
            user_budget=UserBudget(
                usd_per_day=10_000 * NANO, all_usd_per_month=10_000 * NANO, answer_tokens=ANSWER
            ),
        )
        session_id = bench.new_session()
        taken = []
        for _ in range(3):
            wire.reset()
            await bench.send(session_id)
            taken.append(wire.round_trips)
        database.close()

    assert taken[1:] == [2, 2], "the price of a process's first turn is not known to its begin"
    assert taken[0] == 3
    assert of_user(sql) == (3 * TOOK, 3 * TOOK)
    assert of_all(sql)[1] == 3 * TOOK


async def test_without_a_price_no_call_is_made(new_bench: Any, sql: psycopg.Connection) -> None:
    nothing_said = in_order()
    bench = new_bench(nothing_said, user_budget=UserBudget(usd_per_day=10_000 * NANO))

    view = await bench.executor.execute(bench.begin(bench.new_session()), nothing(), seconds=60)

    assert (view.turn.status, view.turn.error_code) == ("failed", "price_unknown")
    assert "_Scripted has no price: MODEL_PRICES gives it one" in view.turn.error_detail
    assert view.turn.model_calls == 0
    assert of_user(sql) == (0, 0)


async def test_the_first_budget_in_money_that_a_user_gets_asks_for_a_price_at_once(
    new_bench: Any, sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(say("Hi.")))
    sql.execute("INSERT INTO user_budgets (user_id, nanodollars_per_day) VALUES ('alice', 1000000)")

    view = await bench.executor.execute(bench.begin(bench.new_session()), nothing(), seconds=60)

    assert view.turn.error_code == "price_unknown"


@pytest.mark.parametrize("how", ["by id", "by name"])
def test_with_a_budget_of_nothing_none_begins_though_no_price_is_known_yet(
    database: Database, sql: psycopg.Connection, how: str
) -> None:
    # A process of its own, which has not asked for a price before.
    turns = TurnRepository(database, window=100, budget=UserBudget(answer_tokens=ANSWER))
    opened = turns.begin(opening())
    sql.execute("INSERT INTO user_budgets (user_id, nanodollars_per_day) VALUES ('alice', 0)")
    held_by = opened.session_id
    assert held(opened).number == 1
    assert held_by is not None

    refused = turns.begin(
        opening() if how == "by name" else request(held_by, key="k"), enqueue=True
    )

    assert refused.reached is not None
    assert (refused.reached.limit, refused.reached.most) == ("user_usd_per_day", 0)


async def test_of_tokens_alone_no_price_is_asked_for(
    new_bench: Any, sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(say("Hi.")), user_budget=UserBudget(tokens_per_day=100_000))

    await bench.send(bench.new_session())

    assert of_user(sql) == (0, 0)


def nothing() -> Any:
    read: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    read.set_result(())
    return read


async def test_a_turn_costs_no_more_than_it_may(new_bench: Any) -> None:
    bench = new_bench(
        in_order(*[call("list_tasks", f"c{number}") for number in range(9)]),
        prices=PRICES,
        budget=TurnBudget(usd=3_000 * NANO, answer_tokens=2_000),
    )

    turn = bench.begin(bench.new_session())
    view = await bench.executor.execute(turn, nothing(), seconds=60)

    assert (view.turn.status, view.turn.error_code) == ("failed", "budget_exceeded")
    assert "The turn may cost 0.003 US dollars and has cost 0.000" in view.turn.error_detail


async def test_the_sender_is_told_in_dollars(new_bench: Any) -> None:
    bench = new_bench(user_budget=UserBudget(all_usd_per_day=1_500 * NANO, answer_tokens=ANSWER))
    bench.turns.learn_rate("todo", RATE)
    bench.begin(bench.new_session("bob"), user="bob")

    with pytest.raises(LimitReached) as refused:
        await bench.sender.send(opening(), seconds=60)

    told = answer(refused.value)
    assert (told.status, told.code) == (429, "budget_exceeded")
    assert told.facts == {
        "limit": "deployment_usd_per_day",
        "budget": "0.0015",
        "used": "0.001",
        "held": "0.001",
        "expected": "0.001",
    }
    assert told.detail == (
        "All users together may spend 0.0015 US dollars a day; 0 are spent and 0.001 are held for"
        " calls that are not over; the next call of the model was expected to take 0.001; what"
        " they do not take comes back."
    )
    assert int(told.headers["Retry-After"]) > 0
