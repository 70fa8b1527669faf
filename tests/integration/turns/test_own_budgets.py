"""What an administrator lets one user spend goes for turns that run and that wait, too."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.fair_use import UNBOUNDED, UserBudget
from parley.repository.scope import OfUser
from parley.repository.turns import NewSession, TurnRepository
from parley.repository.user_budgets import OwnBudget, UserBudgets
from parley.turns.attempt import current_attempt
from parley_testing.models.scripted import INPUT_TOKENS, OUTPUT_TOKENS, call, in_order, say
from parley_testing.scenarios.at_once import at_once
from parley_testing.workbench import held, request

OPENS = NewSession(agent="todo", name=None, platform="api", metadata={})
SETTING = UserBudget(1_000_000, 0, 998)
TOOK = INPUT_TOKENS + OUTPUT_TOKENS


@pytest.fixture
def budgets(database: Database) -> UserBudgets:
    return UserBudgets(database, UNBOUNDED)


def opening(**fields: Any) -> Any:
    return request(new_id(), opens=OPENS, **fields)


async def test_a_budget_that_is_lowered_ends_a_turn_that_runs_at_its_next_call(
    new_bench: Any, budgets: UserBudgets, sql: psycopg.Connection
) -> None:
    """Given a turn whose first call is made, when its user may spend nothing more, it fails."""
    asked: list[int] = []

    def script(_: Any) -> Any:
        asked.append(1)
        if len(asked) == 1:
            budgets.put("alice", OwnBudget(tokens_per_day=10))
            return call("add_task", "c1", title="milk")
        return say("never said")

    bench = new_bench(script, user_budget=SETTING)
    turn = held(bench.turns.begin(opening()))

    view = await bench.execute(turn)

    assert (view.turn.status, view.turn.error_code) == ("failed", "budget_exceeded")
    assert len(asked) == 1
    assert "You may spend 10 tokens a day" in view.turn.error_detail
    assert sql.execute("SELECT day_tokens FROM user_limits").fetchone() == (TOOK,)


async def test_the_first_budget_that_there_is_is_heard_of_with_the_lease(
    new_bench: Any, budgets: UserBudgets
) -> None:
    """Given a turn that runs under none, when one is set and its lease is renewed, it counts."""
    asked: list[int] = []

    async def learning() -> Any:
        budgets.put("alice", OwnBudget(tokens_per_month=10))
        attempt = current_attempt()
        assert attempt is not None
        await attempt.lease.renew()
        return call("add_task", "c1", title="milk")

    def script(_: Any) -> Any:
        asked.append(1)
        return learning if len(asked) == 1 else say("never said")

    bench = new_bench(script)
    turn = held(bench.turns.begin(opening()))
    assert not turn.has_budget

    view = await bench.execute(turn)

    assert (view.turn.status, view.turn.error_code) == ("failed", "budget_exceeded")
    assert len(asked) == 1


@pytest.mark.parametrize("before", [True, False], ids=["before", "while it waits"])
async def test_a_turn_that_waits_is_held_by_what_is_set_before_it_runs(
    new_bench: Any, budgets: UserBudgets, sql: psycopg.Connection, before: bool
) -> None:
    """Given a turn in the background under no setting, then its first call is held once."""
    bench = new_bench(in_order(say("hi")))
    if before:
        budgets.put("alice", OwnBudget(tokens_per_day=100_000))
    begun = bench.turns.begin(opening(), queue=True)
    budgets.put("alice", OwnBudget(tokens_per_day=100_000))

    turn = bench.turns.claim_head(begun.session_id).turn
    assert (turn.has_budget, turn.first_held) == (True, 0)
    view = await bench.execute(turn)

    assert view.turn.status == "completed"
    assert sql.execute("SELECT day_tokens FROM user_limits").fetchone() == (TOOK,)


def test_begins_at_once_never_hold_more_than_an_administrator_lets_them(
    database_url: str, budgets: UserBudgets, sql: psycopg.Connection
) -> None:
    budgets.put("alice", OwnBudget(tokens_per_day=7 * 1_000 + 999))

    outcomes = at_once(
        database_url,
        20,
        lambda database, _: (
            TurnRepository(database, window=100, budget=SETTING).begin(opening()).outcome
        ),
    )

    assert sorted(outcomes) == ["limit_reached"] * 13 + ["running"] * 7


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE user_budgets SET tokens_per_day = 1000000",
        "DELETE FROM user_budgets",
        "INSERT INTO user_budgets VALUES ('alice', 1000000)",
    ],
)
def test_a_users_tool_cannot_change_it(
    database: Database, budgets: UserBudgets, statement: str
) -> None:
    budgets.put("alice", OwnBudget(tokens_per_day=7))

    with pytest.raises(ProgrammingError, match="permission denied"):
        database.run(OfUser("alice"), text(statement))


def test_one_user_does_not_see_anothers(database: Database, budgets: UserBudgets) -> None:
    budgets.put("alice", OwnBudget(tokens_per_day=7))

    assert database.run(OfUser("bob"), text("SELECT * FROM user_budgets")) == []
