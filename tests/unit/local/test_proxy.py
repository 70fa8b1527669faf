"""Events and answers in the details that no client can easily send or see."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from parley_local.messages import HttpRequest
from parley_local.proxy import MalformedAnswer, proxy_event, proxy_response, streamed_headers
from parley_local.request_context import RequestContext


def request(**changes: Any) -> HttpRequest:
    plain: dict[str, Any] = {
        "method": "POST",
        "path": "/things/1",
        "query": "",
        "headers": (),
        "body": b"",
        "client": "127.0.0.1",
        "protocol": "HTTP/1.1",
    }
    return HttpRequest(**{**plain, **changes})


def context_of(req: HttpRequest) -> RequestContext:
    return RequestContext(
        req,
        stage="v1",
        route_path="/things/{id}",
        request_id="r-1",
        time=datetime(2026, 11, 3, 4, 5, 6, 700_000, tzinfo=UTC),
    )


def test_the_request_context_says_when_in_both_of_api_gateways_ways() -> None:
    context = proxy_event(context_of(request()), {})["requestContext"]

    assert context["requestTime"] == "03/Nov/2026:04:05:06 +0000"
    assert context["requestTimeEpoch"] == 1793678706700


def test_the_authorizers_result_is_in_the_request_context() -> None:
    event = proxy_event(context_of(request()), {}, authorizer={"principalId": "alice"})

    assert event["requestContext"]["authorizer"] == {"principalId": "alice"}


def test_the_method_arn_is_what_a_policy_names() -> None:
    arn = "arn:aws:execute-api:us-east-1:123456789012:local/v1/POST/things/1"
    assert context_of(request()).method_arn == arn


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [("image/png", True), ("Image/PNG; q=1", True), ("text/plain", False), (None, False)],
)
def test_a_body_of_a_binary_type_is_base64_even_if_it_is_text(
    kind: str | None, encoded: bool
) -> None:
    headers = (("content-type", kind),) if kind else ()

    event = proxy_event(
        context_of(request(body=b"text", headers=headers)), {}, binary_types=["image/png"]
    )

    assert (event["body"], event["isBase64Encoded"]) == (
        ("dGV4dA==", True) if encoded else ("text", False)
    )


def test_x_forwarded_for_is_continued() -> None:
    event = proxy_event(context_of(request(headers=(("x-forwarded-for", "10.0.0.1"),))), {})

    assert event["headers"]["X-Forwarded-For"] == "10.0.0.1, 127.0.0.1"


def test_an_answer_without_a_content_type_is_json() -> None:
    assert proxy_response({"statusCode": 204}).headers == (("Content-Type", "application/json"),)


def test_headers_that_are_the_gateways_are_renamed_or_left_out() -> None:
    response = proxy_response(
        {
            "statusCode": 401,
            "headers": {
                "WWW-Authenticate": "Bearer",
                "Content-Length": "99",
                "Content-Type": "a/b",
            },
        }
    )

    assert response.headers == (
        ("x-amzn-Remapped-WWW-Authenticate", "Bearer"),
        ("Content-Type", "a/b"),
    )


def test_a_header_in_both_forms_is_sent_once() -> None:
    response = proxy_response(
        {
            "statusCode": 200,
            "headers": {"content-type": "a/b", "X-One": "1"},
            "multiValueHeaders": {"Content-Type": ["a/b"], "X-Two": ["2", "3"]},
        }
    )

    assert response.headers == (
        ("Content-Type", "a/b"),
        ("X-Two", "2"),
        ("X-Two", "3"),
        ("X-One", "1"),
    )


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        {},
        {"statusCode": "many"},
        {"statusCode": True},
        {"statusCode": 999},
        {"statusCode": 200, "body": {"not": "text"}},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "headers": {"a": {}}},
        {"statusCode": 200, "headers": {"no name": "b"}},
        {"statusCode": 200, "headers": {"a": "b\r\nc: d"}},
        {"statusCode": 200, "multiValueHeaders": {"a": "b"}},
        {"statusCode": 200, "body": "no base64!", "isBase64Encoded": True},
    ],
)
def test_what_is_no_proxy_response_is_malformed(answer: Any) -> None:
    with pytest.raises(MalformedAnswer):
        proxy_response(answer)


@pytest.mark.parametrize(
    "name",
    ["x-amzn-request-context", "X-Amzn-Lambda-Context", "x-amzn-context", "x-amzn-a-context-b"],
)
def test_a_client_cannot_speak_for_the_streaming_adapter(name: str) -> None:
    event = proxy_event(context_of(request(headers=((name, "{}"), ("X-Context", "kept")))), {})

    assert "X-Context" in event["headers"]
    assert name not in event["headers"]


def test_of_a_streamed_response_the_headers_for_one_hop_stay_behind() -> None:
    headers = (
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Keep-Alive", "timeout=5"),
        ("Content-Length", "3"),
        ("Date", "today"),
        ("Set-Cookie", "a"),
        ("Set-Cookie", "b"),
    )

    assert streamed_headers(headers) == (
        ("x-amzn-Remapped-Date", "today"),
        ("Set-Cookie", "a"),
        ("Set-Cookie", "b"),
    )
