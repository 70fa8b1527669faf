"""Requests that are written in another way and ask for the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parley_testing.api.handlers import Answer, Api, Context, rest_event
from parley_testing.api.problems import problem
from parley_testing.api.served import served_document

TYPES = [
    "application/json",
    "APPLICATION/JSON",
    "Application/Json;charset=UTF-8",
    " application/json ; charset=utf-8",
]
NOBODYS = "01939d5c-2c00-7000-8000-0000000000ff"
NAMES = dict.fromkeys(("session_id", "turn_id", "task_id", "approval_id"), NOBODYS) | {
    "user_id": "bob",
    "agent": "todo",
    "chat_id": "groceries",
}
ROUTES = [
    (method.upper(), path)
    for path, operations in served_document()["paths"].items()
    for method in operations
]


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("name", ["content-type", "Content-Type", "CONTENT-TYPE"])
def test_the_letters_of_a_content_type_are_not_looked_at(
    api: Api, name: str, content_type: str
) -> None:
    headers = {name: content_type}

    made = api("POST", "/sessions", {}, headers=headers)
    path = f"/sessions/{made.json['id']}"

    assert made.status == 201
    assert api("PATCH", path, {"name": "n"}, headers=headers).status == 200
    assert api("POST", "/tasks", {"title": "t"}, headers=headers).status == 201
    assert api("POST", "/messages", {"text": "a"}, headers=headers).status == 201
    assert api("POST", f"{path}/messages", {"text": "a"}, headers=headers).status == 201
    assert api("POST", f"{path}/messages/stream", {"text": "a"}, headers=headers).status == 200


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "", "💥"])
def test_nothing_is_a_body_of_no_type(api: Api, content_type: str) -> None:
    event = rest_event("POST", "/sessions", None)
    event["headers"] = {"Content-Type": content_type}

    answer = Answer(api.function("sessions").handler(event, Context()))

    problem(answer, 422, "invalid_field")


def test_a_content_type_without_a_value_is_none(api: Api) -> None:
    event = rest_event("POST", "/sessions", {})
    event["headers"] = {"Content-Type": None}

    assert Answer(api.function("sessions").handler(event, Context())).status == 201


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_slash_at_the_end_makes_no_other_route(api: Api, method: str, path: str) -> None:
    plain = path.format(**NAMES)
    scopes = "parley:admin"

    without, with_slash = (
        said(api(method, asked, {}, scopes=scopes)) for asked in (plain, plain + "/")
    )

    assert with_slash == without
    assert said(api(method, plain + "/", {}, user=None)) == said(api(method, plain, {}, user=None))


@pytest.mark.parametrize(
    ("method", "path"),
    [*ROUTES, *(("GET", path) for path in ("/health", "/docs", "/chat", "/console"))],
)
def test_two_slashes_at_the_end_make_another_path_as_in_the_gateway(
    api: Api, method: str, path: str
) -> None:
    plain = path.format(**NAMES)

    answer = api(method, f"{plain}//", {}, scopes="parley:admin")

    assert (answer.status, answer.json["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path", ["/health", "/openapi.json", "/docs", "/chat", "/console", "/web/config.json"]
)
def test_a_slash_at_the_end_asks_for_no_token(api: Api, path: str) -> None:
    assert api("GET", f"{path}/", user=None).status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/sessions", {}),
        ("/tasks", {"title": "t"}),
        ("/messages", {"text": "a"}),
        ("/messages/stream", {"text": "a"}),
    ],
)
def test_a_location_leads_there_from_a_path_with_a_slash_too(
    api: Api, path: str, body: dict[str, Any]
) -> None:
    for asked in (path, f"{path}/"):
        location = api("POST", asked, body).headers["location"]  # as a client resolves it

        assert api("GET", location).status == 200, (asked, location)


def said(answer: Answer) -> tuple[int, Any]:
    """What an answer says, but of when it was given and to which request."""
    if not answer.headers.get("content-type", "").endswith("json"):
        return answer.status, None
    body = json.loads(answer.body)
    of_now = ("request_id", "id", "created_at", "updated_at", "last_activity_at", "seconds")
    # The database may be a page larger by the next request: what administrators ask is recorded.
    left_out = (*of_now, "database")
    return answer.status, {name: body[name] for name in body if name not in left_out}
