"""What an administrator lets one user spend goes before the settings, and goes at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from parley.repository.fair_use import UNBOUNDED
from parley.repository.user_budgets import OwnBudget, UserBudgets
from parley_testing.api.handlers import Answer, Api
from parley_testing.api.problems import problem, wrong_fields
from parley_testing.scenarios.at_once import at_once

PATH = "/admin/users/alice/budget"
NAMES = ["auth0|anna", "a/b", "100 %", "Jürgen", "..", "a?b#c", "🦜", "x" * 1000]

WRONG: list[Any] = [-1, 1.5, "5", True, [], {}, 10**15 + 1, 10**30]


def say(api: Api, user: str = "alice") -> Answer:
    return api("POST", "/messages", {"text": "hi"}, user=user)


def test_without_one_the_settings_are_shown(
    environment: pytest.MonkeyPatch, admin: Any, sql: psycopg.Connection
) -> None:
    """Given a setting for the day alone, then that is the only limit, and nothing is used."""
    environment.setenv("USER_TOKENS_PER_DAY", "5000")

    shown = admin("GET", PATH)

    assert shown.status == 200
    assert (shown.json["tokens_per_day"], shown.json["tokens_per_month"]) == (None, None)
    (limit,) = shown.json["limits"]
    renews = datetime.fromisoformat(limit.pop("renews_at"))
    (tomorrow,) = sql.execute("SELECT date_trunc('day', now(), 'UTC') + '1 day'").fetchone() or ()
    assert renews == tomorrow
    assert renews.utcoffset() == UTC.utcoffset(None)
    assert limit == {
        "limit": "user_tokens_per_day", "unit": "tokens", "budget": 5000, "used": 0, "near": False,
    }  # fmt: skip


def test_less_than_the_settings_say_is_refused_with_it(
    environment: pytest.MonkeyPatch, api: Api, admin: Any
) -> None:
    environment.setenv("USER_TOKENS_PER_DAY", "1000000")
    assert say(api).status == 201

    changed = admin("PUT", PATH, {"tokens_per_day": 10})

    assert changed.status == 200
    assert changed.json["tokens_per_day"] == 10
    refused = say(api)
    problem(refused, 409, "budget_exceeded")
    assert (refused.json["limit"], refused.json["budget"]) == ("user_tokens_per_day", 10)
    assert refused.json["used"] == changed.json["limits"][0]["used"]
    assert say(api, "bob").status == 201


def test_more_than_the_settings_say_is_let_begin(
    environment: pytest.MonkeyPatch, api: Api, admin: Any
) -> None:
    environment.setenv("USER_TOKENS_PER_DAY", "10")
    problem(say(api), 409, "budget_exceeded")

    assert admin("PUT", PATH, {"tokens_per_day": 10**15}).status == 200

    assert say(api).status == 201
    problem(say(api, "bob"), 409, "budget_exceeded")


@pytest.mark.parametrize("limit", ["tokens_per_day", "tokens_per_month"])
def test_zero_lets_nothing_begin_where_no_setting_bounds_anything(
    api: Api, admin: Any, limit: str, sql: psycopg.Connection
) -> None:
    admin("PUT", PATH, {limit: 0})

    refused = say(api)

    problem(refused, 409, "budget_exceeded")
    assert refused.json["limit"] == f"user_{limit}"
    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (0,)
    assert "retry-after" not in refused.headers


def test_what_is_used_is_shown_and_nearly_all_of_it_is_near(api: Api, admin: Any) -> None:
    admin("PUT", PATH, {"tokens_per_day": 10**6, "tokens_per_month": 10**6})
    say(api)
    used = admin("GET", PATH).json["limits"][0]["used"]
    assert used > 0

    admin("PUT", PATH, {"tokens_per_day": used * 100 // 80, "tokens_per_month": used * 2})

    day, month = admin("GET", PATH).json["limits"]
    assert (day["used"], day["near"]) == (used, True)
    assert (month["used"], month["near"]) == (used, False)


def test_taken_back_the_settings_hold_again_however_often(api: Api, admin: Any) -> None:
    admin("PUT", PATH, {"tokens_per_day": 0})
    problem(say(api), 409, "budget_exceeded")

    for _ in range(2):
        gone = admin("DELETE", PATH)
        assert (gone.status, gone.json["tokens_per_day"], gone.json["limits"]) == (200, None, [])

    assert say(api).status == 201


def test_a_put_is_all_of_it(admin: Any) -> None:
    """Given a limit for the day, when one for the month is put, then the day's is gone."""
    admin("PUT", PATH, {"tokens_per_day": 7})

    shown = admin("PUT", PATH, {"tokens_per_month": 9}).json

    assert (shown["tokens_per_day"], shown["tokens_per_month"]) == (None, 9)
    assert [each["limit"] for each in shown["limits"]] == ["user_tokens_per_month"]


@pytest.mark.parametrize(
    "body",
    [
        *({"tokens_per_day": wrong} for wrong in WRONG),
        {"tokens_per_month": -1},
        {"tokens_per_year": 5},
        {"tokens_per_day": 5, "tokens_per_month": -5},
    ],
)
def test_what_is_no_budget_is_refused_by_its_field_and_changes_nothing(
    admin: Any, sql: psycopg.Connection, body: Any
) -> None:
    admin("PUT", PATH, {"tokens_per_day": 7})

    refused = admin("PUT", PATH, body)

    assert refused.status == 422
    assert refused.json["errors"][0]["field"] == list(body)[-1]
    kept = sql.execute("SELECT tokens_per_day, tokens_per_month FROM user_budgets").fetchall()
    assert kept == [(7, None)]


@pytest.mark.parametrize("body", ['{"tokens_per_day": NaN}', '{"tokens_per_day": 1e999}', "[", ""])
def test_what_is_no_json_is_refused(admin: Any, sql: psycopg.Connection, body: str) -> None:
    assert admin("PUT", PATH, body).status in (400, 422)
    assert sql.execute("SELECT count(*) FROM user_budgets").fetchone() == (0,)


@pytest.mark.parametrize("user", NAMES)
def test_users_are_named_as_tokens_name_them(api: Api, admin: Any, user: str) -> None:
    """Given a user whom nobody knows yet, then the budget is theirs, and nobody else's."""
    path = f"/admin/users/{quote(user, safe='')}/budget"

    assert admin("PUT", path, {"tokens_per_day": 0}).json["tokens_per_day"] == 0

    assert admin("GET", path).json["tokens_per_day"] == 0
    problem(say(api, user), 409, "budget_exceeded")
    assert say(api, user[:-1] + "y").status == 201
    assert admin("DELETE", path).json["tokens_per_day"] is None
    assert say(api, user).status == 201


@pytest.mark.parametrize(
    ("name", "reason"), [("x" * 1001, "has more than 1000 characters"), ("%00", "is empty")]
)
@pytest.mark.parametrize("path", ["/admin/users/{}/budget", "/admin/users/{}/export"])
def test_a_name_that_none_can_be_is_refused_with_its_limit(
    admin: Any, path: str, name: str, reason: str
) -> None:
    refused = admin("GET", path.format(name))

    problem(refused, 422, "invalid_field")
    (error,) = refused.json["errors"]
    assert (error["field"], error["reason"]) == ("user_id", reason)


def test_of_administrators_at_once_one_counts_whole(
    database_url: str, sql: psycopg.Connection
) -> None:
    at_once(
        database_url,
        8,
        lambda database, n: UserBudgets(database, UNBOUNDED).put("alice", OwnBudget(n, n * 10)),
    )

    rows = sql.execute("SELECT tokens_per_day, tokens_per_month FROM user_budgets").fetchall()
    assert len(rows) == 1
    assert rows[0] in [(n, n * 10) for n in range(8)]


def test_it_is_recorded_with_what_was_set(admin: Any, sql: psycopg.Connection) -> None:
    admin("PUT", PATH, {"tokens_per_day": 7})

    (details,) = sql.execute("SELECT details FROM audit_records").fetchone() or ()
    assert details["budget"] == {
        "tokens_per_day": 7,
        "tokens_per_month": None,
        "usd_per_day": None,
        "usd_per_month": None,
    }
    assert (details["asked"], details["user_id"]) == ("set a budget", "alice")


def test_renaming_leaves_the_other_users_budget_as_it_is(
    admin: Any, sql: psycopg.Connection
) -> None:
    admin("PUT", PATH, {"tokens_per_day": 7})
    admin("PUT", "/admin/users/bob/budget", {"tokens_per_day": 9})

    admin("POST", "/admin/users/alice/rename", {"new_user_id": "bob"})

    kept = sql.execute("SELECT user_id, tokens_per_day FROM user_budgets").fetchall()
    assert kept == [("bob", 9)]


def test_dollars_are_set_and_shown_as_decimals(admin: Any) -> None:
    set_ = admin("PUT", PATH, {"usd_per_day": "0.000000001", "usd_per_month": "12.50"})

    assert (set_.status, set_.json["usd_per_day"]) == (200, "0.000000001")
    assert set_.json["usd_per_month"] == "12.5"
    assert limits(set_) == [
        ("user_usd_per_day", "usd", "0.000000001", "0"),
        ("user_usd_per_month", "usd", "12.5", "0"),
    ]
    for wrong in ("-1", "1e3", "1000000", "0.0000000001", "", "NaN", 12.5):
        assert wrong_fields(admin("PUT", PATH, {"usd_per_day": wrong})) == ["usd_per_day"], wrong
    assert admin("GET", PATH).json["usd_per_month"] == "12.5"


def limits(answer: Any) -> list[tuple[Any, ...]]:
    told = ("limit", "unit", "budget", "used")
    return [tuple(each[name] for name in told) for each in answer.json["limits"]]


def test_what_all_users_may_spend_is_shown_to_administrators_only(
    environment: pytest.MonkeyPatch, admin: Any, api: Api, sql: psycopg.Connection
) -> None:
    environment.setenv("DEPLOYMENT_TOKENS_PER_MONTH", "10000")
    environment.setenv("DEPLOYMENT_USD_PER_DAY", "2.5")
    for user in ("alice", "bob"):
        assert api("POST", "/messages", {"text": "hi"}, user=user).status == 201

    shown = admin("GET", "/admin/budget")

    (spent,) = sql.execute("SELECT sum(spent_tokens)::bigint FROM turns").fetchone() or ()
    assert limits(shown) == [
        ("deployment_tokens_per_month", "tokens", 10_000, spent),
        ("deployment_usd_per_day", "usd", "2.5", "0"),  # the offline model costs nothing
    ]
    assert spent > 0
    problem(api("GET", "/admin/budget", user="alice"), 403, "forbidden")
    assert api("GET", "/usage").json["limits"] == []
    refused = problem(say(api, "carol"), 429, "budget_exceeded")
    assert (refused["limit"], refused["used"]) == ("deployment_tokens_per_month", spent)
