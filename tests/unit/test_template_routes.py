"""The routes of template.yaml, and that the sample events are in step with them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from parley_testing.template import API, FUNCTIONS, PARAMETERS, ROOT

ROUTES: dict[Path, dict[str, Any]] = {}
"""Every route of the template by the file in which its sample event has to be."""
for function, properties in FUNCTIONS.items():
    for name, event in properties.get("Events", {}).items():
        if event["Type"] != "Api":
            continue
        file = re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() + ".json"
        ROUTES[Path(function.lower(), file)] = event["Properties"]
OPEN_TO_ALL = {("get", "/health"), ("get", "/openapi.json"), ("get", "/docs")}


def read_event(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "events" / file).read_text())
    return found


def event_files() -> set[Path]:
    return {path.relative_to(ROOT / "events") for path in (ROOT / "events").glob("*/*.json")}


def test_every_route_has_its_event_and_every_event_its_route() -> None:
    of_api = {file for file in event_files() if file.parts[0] in ("sessions", "messages", "stream")}

    assert of_api == set(ROUTES)


def test_every_function_has_an_event() -> None:
    assert {file.parts[0] for file in event_files()} == {name.lower() for name in FUNCTIONS}


@pytest.mark.parametrize("file", ROUTES, ids=str)
def test_an_event_is_of_its_route(file: Path) -> None:
    event, route = read_event(file), ROUTES[file]
    context = event["requestContext"]

    path = route["Path"].format(**(event["pathParameters"] or {}))
    assert event["resource"] == context["resourcePath"] == route["Path"]
    assert event["httpMethod"] == context["httpMethod"] == route["Method"].upper()
    assert event["path"] == path
    assert context["path"] == f"/{context['stage']}{path}"
    assert context["stage"] == PARAMETERS["StageName"]["Default"]


@pytest.mark.parametrize("file", ROUTES, ids=str)
def test_an_event_is_as_api_gateway_makes_it(file: Path) -> None:
    event = read_event(file)

    assert event["multiValueHeaders"] == _each_in_a_list(event["headers"])
    assert event["multiValueQueryStringParameters"] == _each_in_a_list(
        event["queryStringParameters"]
    )
    for name, value in (event["pathParameters"] or {}).items():
        assert value == "alice" if name == "user_id" else UUID(value).version == 7
    if event["body"] is not None:
        assert event["headers"]["Content-Type"] == "application/json"
        assert isinstance(json.loads(event["body"]), dict)


@pytest.mark.parametrize("file", ROUTES, ids=str)
def test_an_event_names_its_user_where_the_route_is_authorized(file: Path) -> None:
    event, route = read_event(file), ROUTES[file]

    identity = event["requestContext"].get("authorizer")

    if (route["Method"], route["Path"]) in OPEN_TO_ALL:
        assert identity is None
    else:
        administers = route["Path"].startswith("/admin/")
        user, scopes = ("admin", "parley:admin") if administers else ("alice", "")
        assert identity["principalId"] == identity["user_id"] == user
        assert identity["scopes"] == scopes
        assert identity["exp"] == "4102444800"


def test_every_route_but_three_is_authorized() -> None:
    unauthorized = {
        (route["Method"], route["Path"]) for route in ROUTES.values() if "Auth" in route
    }

    assert API["Auth"]["DefaultAuthorizer"] in API["Auth"]["Authorizers"]
    assert unauthorized == OPEN_TO_ALL
    assert all(
        route["Auth"] == {"Authorizer": "NONE"} for route in ROUTES.values() if "Auth" in route
    )


def test_no_route_is_served_twice() -> None:
    served = [(route["Method"], route["Path"]) for route in ROUTES.values()]

    assert len(served) == len(set(served))


def test_the_authorizer_is_asked_with_the_token_and_its_answer_kept() -> None:
    (authorizer,) = API["Auth"]["Authorizers"].values()

    assert authorizer["FunctionPayloadType"] == "TOKEN"
    assert authorizer["FunctionArn"] == {"Fn::GetAtt": ["Authorizer", "Arn"]}
    assert authorizer["Identity"]["ReauthorizeEvery"] == 300


@pytest.mark.parametrize("header", ["Bearer a.b-c._~+/d==", "bearer x", "BEARER  x"])
def test_the_gateway_lets_bearer_tokens_through(header: str) -> None:
    (authorizer,) = API["Auth"]["Authorizers"].values()

    assert re.fullmatch(authorizer["Identity"]["ValidationExpression"], header)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic eDp5", "Bearer a b", "Bearerx"])
def test_the_gateway_stops_what_is_no_bearer_token(header: str) -> None:
    (authorizer,) = API["Auth"]["Authorizers"].values()

    assert not re.fullmatch(authorizer["Identity"]["ValidationExpression"], header)


def test_a_browser_may_use_every_method_from_any_origin_and_preflight_needs_no_token() -> None:
    allowed = API["Cors"]["AllowMethods"].strip("'").split(",")

    assert API["Cors"]["AllowOrigin"] == "'*'"
    assert {route["Method"].upper() for route in ROUTES.values()} <= set(allowed)
    assert API["Auth"]["AddDefaultAuthorizerToCorsPreflight"] is False


def _each_in_a_list(values: Mapping[str, str] | None) -> dict[str, list[str]] | None:
    return None if values is None else {name: [value] for name, value in values.items()}
