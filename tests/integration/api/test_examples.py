"""The bodies with which `/docs` fills its forms are taken as they are."""

from __future__ import annotations

import pytest

from parley.repository.approvals import Asked, pause
from parley.repository.turns import TurnRepository
from parley_testing.api.handlers import Api
from parley_testing.api.served import served_document
from parley_testing.stores.talk import begin, request

DOCUMENT = served_document()
SCHEMAS = DOCUMENT["components"]["schemas"]
BODIES = {
    f"{method.upper()} {path}": operation["requestBody"]["content"]["application/json"]["schema"]
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if "requestBody" in operation
}
# They answer with streams, and take what their neighbours take.
STREAMS = {route for route in BODIES if route.endswith("/stream")}


@pytest.fixture
def approval_id(api: Api, turns: TurnRepository) -> str:
    """The id of a call that waits for an administrator."""
    turn = begin(turns, request("alice", api.new_session()))
    asked = [Asked("call_1", "todo", "pay", "{}", "admin")]
    (approval,) = pause(turns._database, turn, asked, expires_in=3600, spent=0) or []
    return str(approval.id)


@pytest.mark.parametrize("route", sorted(BODIES.keys() - STREAMS))
def test_the_example_of_a_body_is_taken(api: Api, approval_id: str, route: str) -> None:
    (example,) = SCHEMAS[BODIES[route]["$ref"].rpartition("/")[2]]["examples"]
    method, path = route.split(" ")
    ids = {
        "{session_id}": api.new_session(),
        "{task_id}": api("POST", "/tasks", {"title": "milk"}).json["id"],
        "{user_id}": "somebody",
        "{agent}": "todo",
        "{approval_id}": approval_id,
    }
    for name, id in ids.items():
        path = path.replace(name, id)

    answer = api(method, path, example, scopes="parley:admin")

    assert answer.status in (200, 201), answer.json


def test_streams_take_the_same_bodies() -> None:
    assert {route: BODIES[route] for route in STREAMS} == {
        route: BODIES[route.removesuffix("/stream")] for route in STREAMS
    }


def test_where_a_token_comes_from_is_said() -> None:
    said = DOCUMENT["components"]["securitySchemes"]["bearer"]["description"]

    assert "`parley token`" in said
