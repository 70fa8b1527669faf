"""The errors that API Gateway makes itself: problem documents like all others."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from parley.http.headers import SAFE
from parley_testing.account.template import API

RESPONSES: dict[str, Any] = API["GatewayResponses"]
# Every type that API Gateway has, as the GatewayResponse page of its API reference lists them.
TYPES = {
    "ACCESS_DENIED",
    "API_CONFIGURATION_ERROR",
    "AUTHORIZER_CONFIGURATION_ERROR",
    "AUTHORIZER_FAILURE",
    "BAD_REQUEST_BODY",
    "BAD_REQUEST_PARAMETERS",
    "DEFAULT_4XX",
    "DEFAULT_5XX",
    "EXPIRED_TOKEN",
    "INTEGRATION_FAILURE",
    "INTEGRATION_TIMEOUT",
    "INVALID_API_KEY",
    "INVALID_SIGNATURE",
    "MISSING_AUTHENTICATION_TOKEN",
    "QUOTA_EXCEEDED",
    "REQUEST_TOO_LARGE",
    "RESOURCE_NOT_FOUND",
    "THROTTLED",
    "UNAUTHORIZED",
    "UNSUPPORTED_MEDIA_TYPE",
    "WAF_FILTERED",
}


def test_every_error_of_api_gateway_is_covered() -> None:
    assert set(RESPONSES) == TYPES


@pytest.mark.parametrize("kind", RESPONSES)
def test_an_error_of_api_gateway_is_a_problem_document(kind: str) -> None:
    response = RESPONSES[kind]
    headers = response["ResponseParameters"]["Headers"]
    (template,) = response["ResponseTemplates"].values()

    problem = json.loads(_with_context(template, {"requestId": "7f1c0d5e"}))

    assert problem.keys() == {"type", "title", "status", "detail", "code", "request_id"}
    assert problem["status"] == response["StatusCode"]
    assert problem["request_id"] == "7f1c0d5e"
    assert re.fullmatch(r"[a-z_]+", problem["code"])
    assert headers["Content-Type"] == "'application/problem+json'"
    assert headers["Access-Control-Allow-Origin"] == "'*'"
    assert {name: headers[name].strip("'") for name in SAFE} == {
        **SAFE,
        "Content-Security-Policy": "sandbox",
    }


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("UNAUTHORIZED", 401, "unauthorized"),
        ("MISSING_AUTHENTICATION_TOKEN", 404, "not_found"),
        ("REQUEST_TOO_LARGE", 413, "content_too_large"),
        ("THROTTLED", 429, "throttled"),
        ("AUTHORIZER_FAILURE", 503, "authorizer_unavailable"),
        ("INTEGRATION_FAILURE", 504, "turn_timeout"),
        ("INTEGRATION_TIMEOUT", 504, "turn_timeout"),
        ("DEFAULT_5XX", 500, "internal_error"),
    ],
)
def test_an_error_of_api_gateway_has_the_status_of_the_design(
    kind: str, status: int, code: str
) -> None:
    response = RESPONSES[kind]
    (template,) = response["ResponseTemplates"].values()

    assert response["StatusCode"] == status
    assert json.loads(template)["code"] == code


def test_header_values_of_gateway_errors_are_quoted_as_api_gateway_wants_them() -> None:
    for response in RESPONSES.values():
        for value in response["ResponseParameters"]["Headers"].values():
            assert re.fullmatch(r"'[^']+'", value)


def _with_context(template: str, context: Mapping[str, str]) -> str:
    return re.sub(r"\$context\.(\w+)", lambda match: context[match[1]], template)
