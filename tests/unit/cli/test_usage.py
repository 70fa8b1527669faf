"""`parley usage` and `parley users usage`: what turns took, and cost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import USAGE

REPORT: dict[str, Any] = {
    "first_day": "2026-11-01",
    "last_day": "2026-11-29",
    "total": {**USAGE, "model_calls": 3, "cost_usd": "0.002025", "calls_without_cost": 1},
    "items": [
        {"name": "gpt-5", "usage": {**USAGE, "model_calls": 2, "cached_tokens": 7}},
        {"name": "", "usage": {**USAGE, "cost_usd": None, "calls_without_cost": 1}},
    ],
    "left_out": 0,
}


def test_a_line_is_a_group_and_what_is_not_known_is_empty(parley: Any, api: Any) -> None:
    """Given a model without a price, then its dollars are not 0."""
    api.answers("GET /usage", REPORT)

    done = parley("usage", "--by", "model", "--from", "2026-11-01", "--to", "2026-11-29")

    assert done.stdout.splitlines() == [
        "gpt-5\t2\t0\t7\t0\t\t0.002025",
        "(not known)\t1\t0\t\t0\t\t",
    ]


def test_json_is_the_whole_report(parley: Any, api: Any) -> None:
    """Then the money is text, exactly as the API gave it."""
    whole = {**REPORT, "limits": BUDGET["limits"]}
    api.answers("GET /usage", whole)

    assert json.loads(parley("usage", "--json").stdout) == whole


def test_a_day_that_is_none_is_refused(parley: Any) -> None:
    """Given a month without its day, then the command says what a day is, and asks nothing."""
    done = parley("usage", "--from", "2026-11")

    assert done.exit_code == 2
    assert "2026-12-24" in done.stderr


def test_administrators_see_all_users(parley: Any, api: Any) -> None:
    """Given no user, then the groups are the users."""
    api.answers("GET /admin/usage", REPORT)

    done = parley("users", "usage")

    assert done.stdout.startswith("gpt-5\t2\t")


BUDGET: dict[str, Any] = {
    "tokens_per_day": 500,
    "tokens_per_month": None,
    "usd_per_day": None,
    "usd_per_month": None,
    "limits": [
        {
            "limit": "user_tokens_per_day",
            "unit": "tokens",
            "budget": 500,
            "used": 450,
            "renews_at": "2026-11-30T00:00:00Z",
            "near": True,
        }
    ],
}
ANNA = "/admin/users/auth0|anna/budget"


def test_a_users_budget_is_shown(parley: Any, api: Any) -> None:
    """Given no option, then nothing is set, and each limit is a line."""
    api.answers(f"GET {ANNA}", BUDGET)

    done = parley("users", "budget", "auth0|anna")

    assert done.stdout == "user_tokens_per_day\t500\t450\t2026-11-30T00:00:00Z\n"


def test_what_is_set_for_a_user_is_all_of_it(parley: Any, api: Any) -> None:
    """Given one option, then the other is what the settings say."""
    api.answers(f"PUT {ANNA}", BUDGET)

    done = parley("users", "budget", "auth0|anna", "--tokens-per-day", "500", "--json")

    assert json.loads(done.stdout) == BUDGET
    (asked,) = api.requests
    assert json.loads(asked.content) == {"tokens_per_day": 500, "tokens_per_month": None}


def test_dollars_are_set_as_they_are_typed(parley: Any, api: Any) -> None:
    api.answers(f"PUT {ANNA}", {**BUDGET, "usd_per_month": "12.5"})

    parley("users", "budget", "auth0|anna", "--usd-per-month", "12.50")

    (asked,) = api.requests
    assert json.loads(asked.content) == {
        "tokens_per_day": None,
        "tokens_per_month": None,
        "usd_per_month": "12.50",
    }


def test_without_a_user_it_is_what_all_may_spend_together(parley: Any, api: Any) -> None:
    limit = {"limit": "deployment_usd_per_day", "unit": "usd", "budget": "2.5", "used": "0.1"}
    when = {"renews_at": "2026-11-30T00:00:00Z", "near": False}
    api.answers("GET /admin/budget", {"limits": [limit | when]})

    done = parley("users", "budget")

    assert done.stdout == "deployment_usd_per_day\t2.5\t0.1\t2026-11-30T00:00:00Z\n"
    assert parley("users", "budget", "--tokens-per-day", "5").exit_code == 2


def test_a_users_budget_is_taken_back(parley: Any, api: Any) -> None:
    api.answers(f"DELETE {ANNA}", {**BUDGET, "tokens_per_day": None, "limits": []})

    done = parley("users", "budget", "auth0|anna", "--remove")

    assert (done.stdout, done.stderr) == ("", "Nothing bounds what this user may spend.\n")


@pytest.mark.parametrize(
    "options",
    [
        ["--remove", "--tokens-per-day", "5"],
        ["--tokens-per-day", "-1"],
        ["--tokens-per-month", "x"],
        ["--usd-per-day", "-1"],
        ["--usd-per-day", "NaN"],
        ["--usd-per-month", "x"],
    ],
)
def test_what_is_no_budget_is_asked_of_nobody(parley: Any, api: Any, options: list[str]) -> None:
    assert parley("users", "budget", "anna", *options).exit_code == 2
    assert api.requests == []
