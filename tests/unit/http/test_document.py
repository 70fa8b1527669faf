"""The OpenAPI document: valid, the committed copy, and true to what every route does."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from parley.http.api import OPEN_PATHS
from parley.http.document import document, written
from parley_testing.api.served import served_document


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return document()


def operations(made: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in made["paths"].items()
        for method, operation in methods.items()
    ]


def test_it_is_openapi_3_1(made: dict[str, Any]) -> None:
    assert made["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(made).iter_errors()) == []


def test_the_committed_copy_is_what_the_code_says(made: dict[str, Any]) -> None:
    committed = (resources.files("parley.http") / "openapi.json").read_text("utf-8")

    assert written(made) == committed, "The API has changed: run `make openapi`."


def test_it_is_written_the_same_each_time(made: dict[str, Any]) -> None:
    assert written(document()) == written(made)


def test_every_operation_has_a_name_of_its_own_and_a_summary(made: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(made)]

    assert len(set(names)) == len(names)
    assert all(operation["summary"] for _, _, operation in operations(made))


def test_all_but_the_open_routes_need_a_token(made: dict[str, Any]) -> None:
    assert made["security"] == [{"bearer": []}]
    assert made["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    open_ = {path for path, _, operation in operations(made) if operation.get("security") == []}
    assert open_ == OPEN_PATHS & made["paths"].keys()


def test_every_error_is_a_problem_document(made: dict[str, Any]) -> None:
    problem = {"$ref": "#/components/schemas/Problem"}

    for path, method, operation in operations(made):
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                continue
            content = response["content"]
            assert list(content) == ["application/problem+json"], (path, method, status)
            assert content["application/problem+json"]["schema"] == problem


def test_every_guarded_route_tells_what_may_always_happen(made: dict[str, Any]) -> None:
    for path, method, operation in operations(made):
        if path not in OPEN_PATHS:
            told = operation["responses"].keys()
            assert {"401", "403", "429", "500", "503"} <= told, (path, method)
            # A user is never not there: who is not known has nothing.
            assert ("404" in told) or "{" not in path.replace("{user_id}", ""), (path, method)
            assert "requestBody" not in operation or {"400", "413", "422"} <= told, (path, method)


def test_every_list_is_paged_alike() -> None:
    made = served_document()
    lists = 0
    for _, _, operation in operations(made):
        parameters = {parameter["name"]: parameter for parameter in operation.get("parameters", [])}
        if "cursor" not in parameters:
            continue
        if operation["operationId"] == "exportUser":
            continue  # lines, a page of so many bytes
        lists += 1
        limit = parameters["limit"]["schema"]
        assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 100, 20)
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        page = made["components"]["schemas"][answer.rsplit("/", 1)[-1]]
        assert set(page["properties"]) == {"items", "next_cursor"}
    assert lists == 12


def test_the_form_of_cursors_and_sequence_numbers_is_told() -> None:
    made = served_document()
    forms = {"cursor": "^[A-Za-z0-9_-]+$", "last-event-id": "^[0-9]{1,10}$"}
    told = [
        (
            parameter["name"],
            json.dumps(forms[parameter["name"].lower()]) in json.dumps(parameter["schema"]),
        )
        for _, _, operation in operations(made)
        for parameter in operation.get("parameters", [])
        if parameter["name"].lower() in forms
    ]

    assert len(told) == 14
    assert all(form for _, form in told)


def test_no_parameter_may_be_null_which_cannot_be_sent(made: dict[str, Any]) -> None:
    parameters = [
        parameter
        for path in made["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", ())
    ]

    assert len(parameters) > 50
    assert not [each["name"] for each in parameters if "null" in json.dumps(each["schema"])]


def test_the_limits_of_fields_are_told(made: dict[str, Any]) -> None:
    creation = json.dumps(made["components"]["schemas"]["SessionCreation"])

    assert '"maxLength": 200' in creation
    assert '"additionalProperties": false' in creation
    assert "16384 bytes" in creation


def test_nobody_else_s_errors_are_described(made: dict[str, Any]) -> None:
    text = json.dumps(made)

    assert "ValidationError" not in text
    assert "conversation" not in json.dumps(made["components"]["schemas"]["Session"]["properties"])
