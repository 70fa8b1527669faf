"""The bodies with which `/docs` fills its forms are taken as they are."""

from __future__ import annotations

import pytest

from parley_testing.api.handlers import Api
from parley_testing.api.served import served_document

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


@pytest.mark.parametrize("route", sorted(BODIES.keys() - STREAMS))
def test_the_example_of_a_body_is_taken(api: Api, route: str) -> None:
    (example,) = SCHEMAS[BODIES[route]["$ref"].rpartition("/")[2]]["examples"]
    method, path = route.split(" ")
    ids = {
        "{session_id}": api.new_session(),
        "{task_id}": api("POST", "/tasks", {"title": "milk"}).json["id"],
        "{user_id}": "somebody",
        "{agent}": "todo",
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
