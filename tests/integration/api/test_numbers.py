"""A number in an address is digits, and in a body a number, in every route that takes one."""

from __future__ import annotations

from typing import Any

import pytest

from parley_testing.api.handlers import Api
from parley_testing.api.problems import problem
from parley_testing.api.served import served_document

NUMBERS = [
    (method.upper(), path, parameter["name"])
    for path, entries in served_document()["paths"].items()
    for method, operation in entries.items()
    for parameter in operation.get("parameters", ())
    if parameter["in"] == "query" and parameter["schema"].get("type") == "integer"
]
ID = "01939d5c-2c00-7000-8000-0000000000ff"


def ask(api: Api, route: tuple[str, str, str], value: str) -> Any:
    method, path, name = route
    path = path.format(session_id=ID, turn_id=ID)
    return api(method, path, query={name: value}, scopes="parley:admin")


def test_there_are_such_routes() -> None:
    assert {name for _, _, name in NUMBERS} == {"limit", "after", "last"}


@pytest.mark.parametrize("route", NUMBERS, ids=" ".join)
def test_what_python_alone_takes_for_a_number_is_refused(
    api: Api, route: tuple[str, str, str]
) -> None:
    for value in ("1_0", "1.0", " 10", "+10", "1e1", "\u0661", "", "0x1"):
        answer = ask(api, route, value)

        said = problem(answer, 422, "invalid_field")
        assert said["errors"] == [
            {"field": route[2], "reason": "must be a whole number in digits"}
        ], value


@pytest.mark.parametrize("route", NUMBERS, ids=" ".join)
def test_digits_are_taken_and_a_number_out_of_range_is_told_its_limit(
    api: Api, route: tuple[str, str, str]
) -> None:
    assert ask(api, route, "10").status in (200, 404)
    said = problem(ask(api, route, "-1"), 422, "invalid_field")
    assert "must be at least " in said["errors"][0]["reason"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("older_than_seconds", "5"),
        ("older_than_seconds", True),
        ("older_than_seconds", 5.5),
        ("older_than_seconds", -1),
        ("dry_run", "yes"),
        ("dry_run", 1),
    ],
)
def test_what_is_another_type_in_a_body_is_refused(api: Api, field: str, value: Any) -> None:
    answer = api("POST", "/admin/cleanup", {field: value}, scopes="parley:admin")

    said = problem(answer, 422, "invalid_field")
    assert [fault["field"] for fault in said["errors"]] == [field]


@pytest.mark.parametrize("value", [5, 5.0, None])
def test_a_whole_number_in_a_body_is_taken(api: Api, value: Any) -> None:
    body = {"dry_run": True, "older_than_seconds": value}

    assert api("POST", "/admin/cleanup", body, scopes="parley:admin").status == 200


@pytest.mark.parametrize("value", ["1", "yes", "on", "True", "t", ""])
def test_yes_and_no_in_an_address_are_true_and_false(api: Api, value: str) -> None:
    said = problem(api("GET", "/tasks", query={"completed": value}), 422, "invalid_field")

    assert said["errors"] == [{"field": "completed", "reason": "must be true or false"}]
    assert api("GET", "/tasks", query={"completed": "true"}).status == 200
