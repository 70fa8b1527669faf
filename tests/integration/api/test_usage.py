"""What turns took and cost, as users and administrators read it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from parley.repository import usage
from parley_testing.api.handlers import Api

DAYS = {"from": "2026-10-01", "to": "2026-10-31"}
ROOT: dict[str, Any] = {"user": "root", "scopes": "parley:admin"}


def spend(
    sql: psycopg.Connection,
    user: str,
    day: str,
    *,
    agent: str = "todo",
    model: str = "gpt-5",
    cost: int | None = 1_500,
    calls: int = 2,
) -> None:
    sql.execute(
        "INSERT INTO daily_usage VALUES (%s, %s, %s, %s, %s, 100, 40, 10, NULL, %s, 0, %s)",
        (user, day, agent, model, calls, cost, calls if cost is None else 0),
    )


@pytest.fixture
def october(sql: psycopg.Connection) -> None:
    """Two users' days, with models that have a price and one that has none."""
    spend(sql, "alice", "2026-09-30")
    spend(sql, "alice", "2026-10-01")
    spend(sql, "alice", "2026-10-01", model="mine", cost=None)
    spend(sql, "alice", "2026-10-31", agent="support", cost=2_000_000_000)
    spend(sql, "alice", "2026-11-01")
    spend(sql, "bob", "2026-10-02", cost=7)


def names(report: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item["usage"]["cost_usd"] for item in report["items"]}


@pytest.mark.usefixtures("october")
@pytest.mark.parametrize(
    ("group_by", "costs"),
    [
        ("day", {"2026-10-01": "0.0000015", "2026-10-31": "2"}),
        ("agent", {"support": "2", "todo": "0.0000015"}),
        ("model", {"gpt-5": "2.0000015", "mine": None}),
    ],
)
def test_ones_own_days_with_both_ends(api: Api, group_by: str, costs: dict[str, Any]) -> None:
    """Then each group has its sum, and the total is exact and says what it leaves out."""
    report = api("GET", "/usage", query={**DAYS, "group_by": group_by}).json

    assert names(report) == costs
    assert list(names(report)) == list(costs)
    assert report["total"] == {
        "model_calls": 6,
        "input_tokens": 300,
        "cached_tokens": 120,
        "output_tokens": 30,
        "reasoning_tokens": None,
        "cost_usd": "2.0000015",
        "calls_without_tokens": 0,
        "calls_without_cost": 2,
    }
    assert (report["first_day"], report["last_day"]) == (DAYS["from"], DAYS["to"])


@pytest.mark.usefixtures("october")
def test_an_administrator_sees_all_users_and_one(api: Api) -> None:
    """Given a limit, then the others are in the total, and their number is told."""
    by_user = api("GET", "/admin/usage", query={**DAYS, "group_by": "user"}, **ROOT).json
    first = api(
        "GET", "/admin/usage", query={**DAYS, "group_by": "user", "limit": "1"}, **ROOT
    ).json
    bobs = api("GET", "/admin/usage", query={**DAYS, "user_id": "bob"}, **ROOT).json

    assert names(by_user) == {"alice": "2.0000015", "bob": "0.000000007"}
    assert by_user["total"]["cost_usd"] == "2.000001507"
    assert (list(names(first)), first["left_out"]) == (["alice"], 1)
    assert first["total"] == by_user["total"]
    assert names(bobs) == {"2026-10-02": "0.000000007"}


@pytest.mark.usefixtures("october")
def test_it_is_no_strangers_business(api: Api) -> None:
    """Given another user, then they see theirs; without the scope, nobody sees all."""
    assert names(api("GET", "/usage", query=DAYS, user="bob").json) == {"2026-10-02": "0.000000007"}
    assert api("GET", "/admin/usage", query=DAYS).status == 403
    assert api("GET", "/usage", query={"group_by": "user"}).status == 422


def test_what_one_may_spend_is_told_with_it(
    environment: pytest.MonkeyPatch, api: Api, sql: psycopg.Connection
) -> None:
    """Given 79 and 80 % of two budgets, then the second is near, whatever days are asked for."""
    environment.setenv("USER_TOKENS_PER_DAY", "100")
    environment.setenv("USER_TOKENS_PER_MONTH", "101")
    sql.execute(
        "INSERT INTO user_limits (user_id, day, day_tokens, month_tokens)"
        " VALUES ('alice', (now() AT TIME ZONE 'UTC')::date, 80, 80)"
    )

    day, month = api("GET", "/usage", query=DAYS).json["limits"]

    assert (day["budget"], day["used"], day["near"]) == (100, 80, True)
    assert (month["budget"], month["used"], month["near"]) == (101, 80, False)
    assert datetime.fromisoformat(day["renews_at"]) > datetime.now(UTC) - timedelta(minutes=5)
    assert [each["used"] for each in api("GET", "/usage", user="bob").json["limits"]] == [0, 0]


def test_without_a_budget_no_limit_is_told(api: Api) -> None:
    assert api("GET", "/usage").json["limits"] == []


def test_a_month_without_a_turn_is_empty(api: Api) -> None:
    """Then nothing was called, and that cost nothing."""
    days = [datetime.now(UTC).date()]
    report = api("GET", "/usage").json
    days.append(datetime.now(UTC).date())  # another, if it is midnight

    assert (report["items"], report["left_out"]) == ([], 0)
    assert (report["total"]["model_calls"], report["total"]["cost_usd"]) == (0, "0")
    assert (report["first_day"], report["last_day"]) in [
        (str(day.replace(day=1)), str(day)) for day in days
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-10-02", "to": "2026-10-01"}, "from"),
        ({"from": "2025-10-01", "to": "2026-10-31"}, "from"),
        ({"from": "2026-10"}, "from"),
        ({"to": "yesterday"}, "to"),
        ({"to": "0"}, "to"),
        ({"from": "1795000000"}, "from"),
        ({"to": "2026-10-31T00:00:00Z"}, "to"),
        ({"group_by": "week"}, "group_by"),
        ({"limit": "1001"}, "limit"),
    ],
)
def test_days_that_are_none_are_refused_by_name(
    api: Api, query: dict[str, str], field: str
) -> None:
    """Then the problem names the field."""
    answer = api("GET", "/usage", query=query)

    assert answer.status == 422
    assert field in str(answer.json["errors"])


def test_a_turn_is_in_the_sums_also_when_its_session_is_gone(api: Api) -> None:
    """Given a session that is deleted, then what it cost stays."""
    session_id = api.new_session()
    api("POST", f"/sessions/{session_id}/messages", {"text": "add buy milk"})
    shown = api("GET", f"/sessions/{session_id}").json["usage"]
    before = api("GET", "/usage", query={"group_by": "model"}).json

    api("DELETE", f"/sessions/{session_id}")

    assert shown["model_calls"] == 2
    assert before["total"] == shown
    assert [item["name"] for item in before["items"]] == ["offline"]
    assert before["total"]["cost_usd"] == "0"  # the offline model's price, which is known
    assert api("GET", "/usage", query={"group_by": "model"}).json == before


def test_a_session_shows_the_sum_of_its_turns(api: Api, sql: psycopg.Connection) -> None:
    """Given turns of this release and of the one before, then what is not known is said."""
    session_id = api.new_session()
    empty = api("GET", f"/sessions/{session_id}").json["usage"]
    for _ in range(2):
        api("POST", f"/sessions/{session_id}/messages", {"text": "hello"})
    sql.execute(
        "UPDATE turns SET cost_nanodollars = NULL, cached_tokens = NULL, reasoning_tokens = NULL,"
        " input_tokens = 50 WHERE number = 1"
    )
    sql.execute("UPDATE turns SET cost_nanodollars = 25, uncounted_calls = 1 WHERE number = 2")

    usage = api("GET", f"/sessions/{session_id}").json["usage"]

    assert (empty["model_calls"], empty["cost_usd"], empty["input_tokens"]) == (0, "0", 0)
    assert (usage["model_calls"], usage["cost_usd"], usage["input_tokens"]) == (
        2,
        "0.000000025",
        50,
    )
    assert (usage["calls_without_cost"], usage["calls_without_tokens"]) == (1, 1)


@pytest.mark.parametrize("of_all", [True, False])
def test_a_month_is_one_range_of_an_index(sql: psycopg.Connection, of_all: bool) -> None:
    """Given a year of a busy deployment, then Postgres reads the month's rows and no others."""
    sql.execute(
        "INSERT INTO daily_usage SELECT 'user ' || u, date '2026-01-01' + d, 'todo', 'gpt-5',"
        " 1, 1, 1, 1, 1, 1, 0, 0 FROM generate_series(1, 200) u, generate_series(0, 359) d"
    )
    sql.execute("ANALYZE daily_usage")
    query = str(usage._READ["model", of_all].text)
    values = {
        "first": "'2026-06-01'",
        "last": "'2026-06-30'",
        "limit": "367",
        "user_id": "'user 7'",
    }
    for name, value in values.items():
        query = query.replace(f":{name}", value)

    plan = "\n".join(row[0] for row in sql.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {query}"))

    assert ("ix_daily_usage_day" if of_all else "pk_daily_usage") in plan
    assert "Seq Scan" not in plan
    assert "Filter" not in plan
    read = 200 * 30 if of_all else 30
    assert f"rows={read}" in plan.replace(".00", "")
