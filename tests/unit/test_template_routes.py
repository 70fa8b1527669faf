"""The routes of template.yaml, and that the sample events are in step with them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from parley_local.own_template import SERVES_ROUTES
from parley_packages.project_template import event_of
from parley_project.routes import PATH_MAX_CHARS, PATHS_MAX
from parley_testing.account.template import (
    API,
    FUNCTIONS,
    PARAMETERS,
    ROOT,
    ROUTES,
    gateway_path,
    of_type,
    translated,
)
from parley_testing.api.served import own_document, served_document

ANY = "any"
OPEN_TO_ALL = {"/health", "/openapi.json", "/docs", "/chat", "/console", "/web/{path+}"}
OPERATIONS: dict[tuple[str, str], str] = {
    (method, path): operation["operationId"]
    for path, entries in own_document()["paths"].items()
    for method, operation in entries.items()
} | {
    ("get", "/openapi.json"): "openApi",
    ("get", "/docs"): "docs",
    ("get", "/chat"): "chat",
    ("get", "/console"): "console",
    ("get", "/web/{path+}"): "webFile",
}
"""Every operation of the API by its method and path, those that it does not document too."""
SERVED = OPERATIONS | {
    (method, path): operation["operationId"]
    for path, entries in served_document()["paths"].items()
    for method, operation in entries.items()
}
"""Those of the repository's project too, for which the build adds an event to the template."""
SAID = {"user_id": "alice"}
"""What stands in the events for what is no id."""
POLICY_MAX_BYTES = 20_480
"""How large AWS lets the policy be in which a function names its callers."""
SAID |= {"agent": "todo", "chat_id": "groceries"}


def serving(method: str, path: str) -> str:
    """The function that API Gateway asks: a method of its own goes before ANY."""
    if (method, path) not in OPERATIONS:
        return SERVES_ROUTES
    function, _ = ROUTES.get((method, path)) or ROUTES[ANY, gateway_path(path)]
    return function


def sample_of(operation: tuple[str, str]) -> Path:
    name = re.sub(r"(?=[A-Z])", "-", SERVED[operation]).lower()
    return Path(serving(*operation).lower(), f"{name}.json")


SAMPLES = {sample_of(operation): operation for operation in SERVED}


def read_event(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "events" / file).read_text())
    return found


def event_files() -> set[Path]:
    return {path.relative_to(ROOT / "events") for path in (ROOT / "events").glob("*/*.json")}


def test_every_operation_has_its_event_and_every_event_its_operation() -> None:
    of_api = {file for file in event_files() if file.parts[0] in ("sessions", "messages", "stream")}

    assert of_api == set(SAMPLES)


def test_every_method_of_every_path_reaches_a_function_that_knows_the_others() -> None:
    paths = {gateway_path(path) for _, path in OPERATIONS}

    assert {path for method, path in ROUTES if method == ANY} == paths
    # Stream knows only its own: what it is asked by mistake costs a stream.
    assert {ROUTES[ANY, path][0] for path in paths} == {"Sessions"}


def test_what_has_a_route_of_its_own_is_an_operation_and_not_of_the_function_behind_any() -> None:
    own = {route: function for route, (function, _) in ROUTES.items() if route[0] != ANY}

    assert own.keys() <= OPERATIONS.keys()
    assert "Sessions" not in own.values()


def test_a_functions_policy_has_room_for_its_routes_whatever_the_stacks_name() -> None:
    for function in ("Sessions", "Messages", "Stream"):
        assert policy_bytes(function, "p" * 128) <= POLICY_MAX_BYTES, function


def test_there_is_room_for_the_routes_of_a_project_too() -> None:
    own = [f"/{number:02}".ljust(PATH_MAX_CHARS, "x") for number in range(PATHS_MAX)]

    assert policy_bytes(SERVES_ROUTES, "p" * 128, own) <= POLICY_MAX_BYTES


@pytest.mark.parametrize("file", SAMPLES, ids=str)
def test_an_event_is_of_its_route(file: Path) -> None:
    event, (method, route) = read_event(file), SAMPLES[file]
    context = event["requestContext"]

    served = gateway_path(route)
    path = served.replace("+}", "}").format(**(event["pathParameters"] or {}))
    assert re.fullmatch(re.sub(r"\{[^}]+\}", ".+", route), path)
    assert event["resource"] == context["resourcePath"] == served
    assert event["httpMethod"] == context["httpMethod"] == method.upper()
    assert event["path"] == path
    assert context["path"] == f"/{context['stage']}{path}"
    assert context["stage"] == PARAMETERS["StageName"]["Default"]


@pytest.mark.parametrize("file", SAMPLES, ids=str)
def test_an_event_is_as_api_gateway_makes_it(file: Path) -> None:
    event = read_event(file)

    assert event["multiValueHeaders"] == _each_in_a_list(event["headers"])
    assert event["multiValueQueryStringParameters"] == _each_in_a_list(
        event["queryStringParameters"]
    )
    for name, value in (event["pathParameters"] or {}).items():
        if name == "path":  # what is open-ended holds ids among words
            continue
        if name not in SAID:
            assert UUID(value).version == 7
        else:
            assert value == SAID[name]
    if event["body"] is not None:
        assert event["headers"]["Content-Type"] == "application/json"
        assert isinstance(json.loads(event["body"]), dict)


@pytest.mark.parametrize("file", SAMPLES, ids=str)
def test_an_event_names_its_user_where_the_route_is_authorized(file: Path) -> None:
    event, (_, route) = read_event(file), SAMPLES[file]

    identity = event["requestContext"].get("authorizer")

    if route in OPEN_TO_ALL:
        assert identity is None
    else:
        administers = route.startswith("/admin/")
        user, scopes = ("admin", "parley:admin") if administers else ("alice", "")
        assert identity["principalId"] == identity["user_id"] == user
        assert identity["scopes"] == scopes
        assert identity["exp"] == "4102444800"


def test_no_route_is_served_twice() -> None:
    events = [event for own in FUNCTIONS.values() for event in own.get("Events", {}).values()]

    assert len([event for event in events if event["Type"] == "Api"]) == len(ROUTES)


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
    assert {method.upper() for method, _ in SERVED} <= set(allowed)
    assert API["Auth"]["AddDefaultAuthorizerToCorsPreflight"] is False


def policy_bytes(function: str, stack: str, more: Sequence[str] = ()) -> int:
    """How large a function's policy is, as AWS writes it, in a stack of this name.

    Args:
        function: Which.
        stack: The name.
        more: Paths that it has besides those of the template.
    """
    name_of_function = f"{stack}-{function}-ABCDEFGHIJKL"[:64]
    known = {
        "${AWS::Region}": "ap-southeast-1",
        "${AWS::AccountId}": "123456789012",
        "${__ApiId__}": "abcdefghij",
        "${__Stage__}": "*",
    }
    statements = []
    permissions = [
        (name, permission["Properties"])
        for name, permission in of_type(translated(), "AWS::Lambda::Permission").items()
        if permission["Properties"]["FunctionName"] == {"Ref": f"{function}Aliaslive"}
    ]
    for path in more:
        (one,) = (
            each for _, each in permissions if each["SourceArn"]["Fn::Sub"][0].endswith("/*/agents")
        )
        source = one["SourceArn"]["Fn::Sub"][0].removesuffix("/agents") + path
        permissions.append(
            (
                f"{function}{event_of(path)}PermissionProd",
                one | {"SourceArn": {"Fn::Sub": [source, {}]}},
            )
        )
    for name, properties in permissions:
        source, _ = properties["SourceArn"]["Fn::Sub"]
        for variable, value in known.items():
            source = source.replace(variable, value)
        statements.append(
            {
                "Sid": f"{stack}-{name}-ABCDEFGHIJKL"[:100],
                "Effect": "Allow",
                "Principal": {"Service": properties["Principal"]},
                "Action": properties["Action"],
                "Resource": "arn:aws:lambda:ap-southeast-1:123456789012:function:"
                f"{name_of_function}:live",
                "Condition": {"ArnLike": {"AWS:SourceArn": source}},
            }
        )
    assert statements
    policy = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
    return len(json.dumps(policy, separators=(",", ":")))


def _each_in_a_list(values: Mapping[str, str] | None) -> dict[str, list[str]] | None:
    return None if values is None else {name: [value] for name, value in values.items()}
