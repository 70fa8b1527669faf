"""Gateway responses are rendered from what the template says of them."""

from __future__ import annotations

import json

from parley_local.gateway_responses import gateway_response
from parley_local.messages import HttpRequest
from parley_local.request_context import RequestContext
from parley_local.template import GatewayResponse


def context(*headers: tuple[str, str]) -> RequestContext:
    request = HttpRequest("GET", "/x", "q=1", headers, b"", "127.0.0.1", "HTTP/1.1")
    return RequestContext(request, stage="v1", route_path="/x", request_id="r-1")


def test_variables_are_put_in_and_unknown_ones_are_empty() -> None:
    template = (
        '{"id": "$context.requestId", "also": "${context.requestId}", "message": '
        '$context.error.messageString, "plain": "$context.error.message", "type": '
        '"$context.error.responseType", "ip": "$context.identity.sourceIp", "path": '
        '"$context.path", "unknown": "$context.nothing.here"}'
    )
    responses = {"UNAUTHORIZED": GatewayResponse(None, {}, {"application/json": template})}

    response = gateway_response("UNAUTHORIZED", context(), responses)

    assert response.status == 401
    assert json.loads(response.body) == {
        "id": "r-1",
        "also": "r-1",
        "message": "Unauthorized",
        "plain": "Unauthorized",
        "type": "UNAUTHORIZED",
        "ip": "127.0.0.1",
        "path": "/v1/x",
        "unknown": "",
    }


def test_a_type_without_a_response_takes_the_default_of_its_family_with_its_own_status() -> None:
    responses = {
        "DEFAULT_4XX": GatewayResponse(None, {}, {"application/json": "four"}),
        "DEFAULT_5XX": GatewayResponse(500, {}, {"application/json": "five"}),
    }

    too_large = gateway_response("REQUEST_TOO_LARGE", context(), responses)
    failed = gateway_response("DEFAULT_5XX", context(), responses)

    assert (too_large.status, too_large.body) == (413, b"four")
    assert (failed.status, failed.body) == (500, b"five")


def test_without_any_response_it_is_api_gateways_own() -> None:
    response = gateway_response("INTEGRATION_TIMEOUT", context(), {})

    assert response.status == 504
    assert json.loads(response.body) == {"message": "Endpoint request timed out"}


def test_header_expressions_are_worked_out() -> None:
    headers = {
        "content-type": "'application/problem+json'",
        "X-Id": "context.requestId",
        "X-Origin": "method.request.header.Origin",
        "X-Query": "method.request.querystring.q",
        "X-None": "method.request.header.Absent",
    }
    responses = {"UNAUTHORIZED": GatewayResponse(None, headers, {})}

    response = gateway_response("UNAUTHORIZED", context(("origin", "https://a")), responses)

    assert dict(response.headers) == {
        "x-amzn-ErrorType": "UnauthorizedException",
        "content-type": "application/problem+json",
        "X-Id": "r-1",
        "X-Origin": "https://a",
        "X-Query": "1",
    }


def test_the_template_that_the_client_accepts_is_taken() -> None:
    templates = {"application/json": "{}", "text/plain": "plain"}
    responses = {"UNAUTHORIZED": GatewayResponse(None, {}, templates)}

    plain = gateway_response("UNAUTHORIZED", context(("accept", "text/plain;q=1")), responses)
    other = gateway_response("UNAUTHORIZED", context(("accept", "*/*")), responses)

    assert (plain.body, dict(plain.headers)["Content-Type"]) == (b"plain", "text/plain")
    assert other.body == b"{}"
