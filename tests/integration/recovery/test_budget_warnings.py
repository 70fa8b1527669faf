"""Who comes near a budget is told of once, by the recovery."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import psycopg
import pytest

from parley.errors import StoreUnavailable
from parley.repository.database import Database
from parley.repository.fair_use import UserBudget
from parley.repository.user_budgets import OwnBudget, UserBudgets
from parley_testing.metrics import metrics_in, values_of
from parley_testing.scenarios.at_once import at_once

DAY, MONTH = "user_tokens_per_day", "user_tokens_per_month"
Used = Callable[..., None]
Recover = Callable[[], dict[str, Any]]


@pytest.fixture
def environment(environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    environment.setenv("USER_TOKENS_PER_DAY", "100")
    return environment


@pytest.fixture
def budgets(database: Database) -> UserBudgets:
    return UserBudgets(database, UserBudget(100, 1_000))


@pytest.fixture
def used(sql: psycopg.Connection) -> Used:
    """Counts what a user has used, some days ago."""

    def use(user: str, day: int, month: int, *, ago: str = "0 days") -> None:
        sql.execute(
            "INSERT INTO user_limits (user_id, day, day_tokens, month_tokens)"
            " VALUES (%s, (now() AT TIME ZONE 'UTC')::date - %s::interval, %s, %s)"
            " ON CONFLICT (user_id) DO UPDATE SET day = excluded.day,"
            " day_tokens = excluded.day_tokens, month_tokens = excluded.month_tokens",
            (user, ago, day, month),
        )

    return use


def test_from_80_percent_on_and_once(budgets: UserBudgets, used: Used) -> None:
    """Given a count that falls and rises again, then it is the same day's, and told of once."""
    used("alice", 79, 79)
    assert budgets.warn() == {}

    used("alice", 80, 80)
    assert budgets.warn() == {DAY: 1}

    for tokens in (10, 95, 200):
        used("alice", tokens, tokens)
        assert budgets.warn() == {}


def test_each_user_and_each_limit(budgets: UserBudgets, used: Used) -> None:
    used("alice", 90, 900)
    used("bob", 90, 90)
    used("eve", 0, 800)

    assert budgets.warn() == {DAY: 2, MONTH: 2}


def test_on_the_next_day_again_and_in_the_same_month_not(
    budgets: UserBudgets, used: Used, sql: psycopg.Connection
) -> None:
    used("alice", 90, 900)
    assert budgets.warn() == {DAY: 1, MONTH: 1}
    # As it is on the next day of the same month.
    sql.execute(
        "UPDATE user_limits SET warned = warned || jsonb_build_object("
        f"'{DAY}', ((warned ->> '{DAY}')::date - 1)::text)"
    )

    assert budgets.warn() == {DAY: 1}


@pytest.mark.parametrize("ago", ["40 days", "370 days"])
def test_what_was_used_another_month_is_not_told_of(
    budgets: UserBudgets, used: Used, ago: str
) -> None:
    used("alice", 90, 900, ago=ago)

    assert budgets.warn() == {}


def test_another_budget_is_told_of_anew(budgets: UserBudgets, used: Used) -> None:
    """Given a user of a budget of their own, then its limits count, and not the settings."""
    budgets.put("alice", OwnBudget(tokens_per_day=10_000))
    used("alice", 90, 90)
    assert budgets.warn() == {}

    budgets.put("alice", OwnBudget(tokens_per_day=110))
    assert budgets.warn() == {DAY: 1}
    budgets.remove("alice")
    assert budgets.warn() == {DAY: 1}


def test_with_nothing_used_nobody_is_near(budgets: UserBudgets, used: Used) -> None:
    """Given who may spend nothing, and so has spent nothing, then that is no crossing."""
    budgets.put("alice", OwnBudget(tokens_per_day=0))
    used("alice", 0, 0)

    assert budgets.warn() == {}
    assert not any(bound.near for bound in budgets.read("alice").bounds)


def test_who_asks_at_once_tells_of_each_once(
    database_url: str, used: Used, sql: psycopg.Connection
) -> None:
    for number in range(40):
        used(f"user {number}", 90, 90)

    told = at_once(
        database_url, 6, lambda database, _: UserBudgets(database, UserBudget(100)).warn()
    )

    assert sum(each.get(DAY, 0) for each in told) == 40


def test_the_recovery_measures_it_by_limit(
    recover: Recover, used: Used, capfd: pytest.CaptureFixture[str]
) -> None:
    used("alice", 90, 90)
    used("bob", 95, 95)
    capfd.readouterr()

    for _ in range(2):
        recover()

    measured = [each for each in metrics_in(capfd.readouterr().out) if "BudgetsNear" in each]
    assert [(values_of(each)["BudgetsNear"], each["limit"]) for each in measured] == [(2, DAY)]


def test_what_cannot_be_told_takes_nothing_from_the_recovery(
    recover: Recover, log_lines: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:

    def down(_: UserBudgets) -> None:
        raise StoreUnavailable("postgres", "57014")

    monkeypatch.setattr(UserBudgets, "warn", down)

    assert recover()["done"]
    assert "budgets that are nearly used could not be told" in log_lines.getvalue()


def test_money_and_all_users_together_are_told_of_too(
    database: Database, sql: psycopg.Connection
) -> None:
    budgets = UserBudgets(
        database, UserBudget(usd_per_month=1_000, all_tokens_per_day=100, all_usd_per_month=1_000)
    )
    today = "(now() AT TIME ZONE 'UTC')::date"
    sql.execute(
        "INSERT INTO user_limits (user_id, day, month_nanodollars)"
        f" VALUES ('alice', {today}, 799), ('bob', {today}, 800)"
    )
    sql.execute(
        "INSERT INTO deployment_spending (id, day, day_tokens, month_nanodollars)"
        f" VALUES (1, {today}, 80, 799)"
    )

    assert budgets.warn() == {"user_usd_per_month": 1, "deployment_tokens_per_day": 1}
    assert budgets.warn() == {}
    sql.execute("UPDATE deployment_spending SET month_nanodollars = 2000, day_tokens = 200")
    assert budgets.warn() == {"deployment_usd_per_month": 1}
    # Yesterday's count is none of today's.
    sql.execute("UPDATE deployment_spending SET day = day - 40, warned = '{}'")
    assert budgets.warn() == {}
