"""The client has every operation of the OpenAPI document, and reads what it answers."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter

from parley_client import AsyncParley, Call, Events, Parley, Series
from parley_client.events import KINDS
from parley_client.exchange import request
from parley_testing.api.served import own_document

EVENT: Any = typing.Union[tuple(KINDS.values())]  # noqa: UP007  (it is made of a list)
DOCUMENT = own_document()
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    re.sub(r"[A-Z]", lambda capital: "_" + capital[0].lower(), operation["operationId"]): (
        method.upper(),
        path,
        operation,
    )
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    # Those are for clients of other protocols, which tell the same turns.
    if operation["tags"] != ["front ends"]
}
# The same operations, where they are asked to answer before the turn has ended.
BACKGROUND = {"queue_message": "send_message", "queue_first_message": "send_first_message"}
METHODS = [*OPERATIONS, *BACKGROUND]
# What asks routes that are a project's, and so no operation of the document.
OF_PROJECTS = ("request", "request_items")
# What each argument is given, to see where it goes.
ARGUMENTS: dict[str, Any] = {
    "session_id": UUID(int=1),
    "turn_id": UUID(int=2),
    "approval_id": UUID(int=3),
    "user_id": "auth0|anna/1",
    "metadata": {"a": 1},
    "status": "active",
    "order": "asc",
    "page_size": 7,
    "dry_run": True,
    "older_than_seconds": 3600,
    "after": 5,
    "usd_per_day": Decimal("1.5"),
    "usd_per_month": Decimal("1E-9"),
}


def endpoint(name: str) -> Callable[..., Any]:
    made: Callable[..., Any] = getattr(Parley, name).__wrapped__
    return made


def call_of(name: str) -> Call[Any]:
    """Make the call with every argument given; of a series, that for a later page.

    Of events it is the first that is made for them.
    """
    wanted = [key for key in typing.get_type_hints(endpoint(name)) if key != "return"]
    made = endpoint(name)(**{key: ARGUMENTS.get(key, key) for key in wanted})
    match made:
        case Series():
            return made.page("cursor")
        case Events():
            return made.first
    call: Call[Any] = made
    return call


def operation_of(name: str) -> tuple[str, str, dict[str, Any]]:
    return OPERATIONS[BACKGROUND.get(name, name)]


def test_both_clients_have_every_operation() -> None:
    for client in (Parley, AsyncParley):
        methods = {name for name, value in vars(client).items() if hasattr(value, "__wrapped__")}
        assert methods == {*METHODS, *OF_PROJECTS}


@pytest.mark.parametrize("name", METHODS)
def test_a_call_goes_to_its_route_with_what_that_takes(name: str) -> None:
    method, template, operation = operation_of(name)

    call = call_of(name)
    sent = request("http://parley.example/v1", call, "t", 40)

    path = re.sub(r"\{(\w+)\}", lambda found: _quoted(ARGUMENTS[found[1]]), template)
    parameters = [(each["in"], each["name"]) for each in operation.get("parameters", [])]
    assert (sent.method, sent.url.raw_path.split(b"?")[0].decode()) == (method, "/v1" + path)
    assert {place for place, _ in parameters} <= {"path", "query", "header"}
    assert set(sent.url.params) == {key for place, key in parameters if place == "query"}
    assert (call.key is not None) == (("header", "idempotency-key") in parameters)
    assert set(call.body or {}) == _body_fields(name, operation)
    assert (sent.headers.get("Prefer") == "respond-async") == (name in BACKGROUND)


@pytest.mark.parametrize("name", METHODS)
def test_an_answer_is_read_as_it_is_described(name: str) -> None:
    _, _, operation = operation_of(name)
    returned = typing.get_type_hints(endpoint(name))["return"]
    kind = "text/event-stream" if returned is Events else "application/json"
    answers = [
        response["content"][kind]["schema"]
        for status, response in operation["responses"].items()
        if status.startswith("2") and (status == "202") == (name in BACKGROUND)
        if kind in response.get("content", {})
    ]
    result = EVENT if returned is Events else typing.get_args(returned)[0]

    if not answers:  # no body, or lines
        assert result in (type(None), dict[str, Any])
        return
    described = answers[0]
    if returned is Events:
        described = described["properties"]["data"]["contentSchema"]
    page = _resolved(described).get("properties", {})
    if {"items", "next_cursor"} == set(page):
        described = page["items"]["items"]
    assert _shape(described) == _shape(TypeAdapter(result).json_schema(mode="serialization"))


def _quoted(value: object) -> str:
    return str(value).replace("|", "%7C").replace("/", "%2F")


def _body_fields(name: str, operation: dict[str, Any]) -> set[str]:
    if "requestBody" not in operation:
        return set()
    content = operation["requestBody"]["content"]["application/json"]
    fields = set(_resolved(content["schema"])["properties"])
    # For a session that is known there are the others.
    return fields - {"session_id"} if name.endswith("_first_message") else fields


def _resolved(schema: dict[str, Any], own: dict[str, Any] | None = None) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = {**SCHEMAS, **(own or {})}[schema["$ref"].rsplit("/", 1)[1]]
    return found


def _shape(schema: dict[str, Any], own: dict[str, Any] | None = None) -> Any:
    """What of a schema says which JSON there may be: fields, types, null, and choices."""
    own = {**(own or {}), **schema.get("$defs", {})}
    schema = _resolved(schema, own)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return sorted((_shape(each, own) for each in schema[choice]), key=repr)
    match schema.get("type"):
        case "object" if "properties" in schema:
            properties = sorted(schema["properties"].items())
            fields = {key: _shape(value, own) for key, value in properties}
            return {"fields": fields, "required": sorted(schema.get("required", []))}
        case "object":
            return {"each": _shape(schema.get("additionalProperties", {}), own)}
        case "array":
            return [_shape(schema["items"], own)]
        case kind:
            # A kind of cleanup that is new must not break this client.
            choices = [] if schema.get("title") == "Kind" else sorted(schema.get("enum", []))
            if "const" in schema:
                choices = [schema["const"]]
            return (kind, schema.get("format"), choices)
