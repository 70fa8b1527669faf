"""Which function a request reaches, and the requests that reach none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

Serve = Callable[..., httpx.Client]

NAME = """
    def handler(event, context):
        return {"statusCode": 200, "body": context.function_name + " " + event["resource"]}
"""


@pytest.fixture
def api(project: Any, serve: Serve) -> httpx.Client:
    project.function("One", NAME, "get /sessions", "get /sessions/{id}", "post /sessions/latest")
    project.function("Two", NAME, "get /sessions/latest", "get /sessions/{id}/messages", "get /")
    project.gateway_response(
        "MISSING_AUTHENTICATION_TOKEN",
        '{"title": "No such route", "id": "$context.requestId", "detail": '
        '$context.error.messageString, "kind": "$context.responseType"}',
        StatusCode=404,
    )
    project.api["Cors"] = {"AllowOrigin": "'https://a.example'", "MaxAge": "'600'"}
    return serve(request_limit=1000)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/", "Two /"),
        ("/sessions", "One /sessions"),
        ("/sessions/", "One /sessions"),
        ("/sessions/42", "One /sessions/{id}"),
        ("/sessions/latest", "Two /sessions/latest"),
        ("/sessions/latest/messages", "Two /sessions/{id}/messages"),
        ("/sessions/%2F/messages", "Two /sessions/{id}/messages"),
    ],
)
def test_a_literal_segment_goes_before_a_parameter(
    api: httpx.Client, path: str, answer: str
) -> None:
    assert api.get(path).text == answer


@pytest.fixture
def shared(project: Any, serve: Serve) -> httpx.Client:
    """A path that two functions share: one has a method of its own, the other all that is left."""
    project.function("One", NAME, "post /messages", "any /sessions/{id}/messages")
    project.function("Two", NAME, "any /messages", "post /sessions/{id}/messages")
    project.api["Cors"] = {"AllowOrigin": "'https://a.example'"}
    return serve()


@pytest.mark.parametrize("path", ["/messages", "/sessions/42/messages"])
def test_a_method_goes_before_any_whatever_their_order(shared: httpx.Client, path: str) -> None:
    own, rest = ("One", "Two") if path == "/messages" else ("Two", "One")

    assert shared.post(path).text.startswith(f"{own} ")
    for method in ("GET", "PUT", "DELETE", "PATCH", "TRACE"):
        assert shared.request(method, path).text.startswith(f"{rest} "), method
    assert shared.head(path).status_code == 200


@pytest.mark.parametrize("path", ["/messages", "/sessions/42/messages"])
def test_a_preflight_request_is_not_any(shared: httpx.Client, path: str) -> None:
    response = shared.options(path)

    assert response.headers["access-control-allow-origin"] == "https://a.example"
    assert all(pool.pids == [] for pool in shared.gateway.pools.values())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing"), ("PUT", "/sessions"), ("GET", "/sessions//"), ("GET", "/sessions/1/2")],
)
def test_no_route_is_answered_by_the_templates_gateway_response(
    api: httpx.Client, method: str, path: str
) -> None:
    response = api.request(method, path)

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    assert response.json() == {
        "title": "No such route",
        "id": response.headers["x-amzn-requestid"],
        "detail": "Missing Authentication Token",
        "kind": "MISSING_AUTHENTICATION_TOKEN",
    }


def test_a_body_over_the_limit_is_413_and_reaches_no_function(api: httpx.Client) -> None:
    response = api.post("/sessions/latest", content=b"x" * 1001)

    assert response.status_code == 413
    assert response.json() == {"message": "Request Too Long"}
    assert api.gateway.pools["One"].pids == []  # type: ignore[attr-defined]
    assert api.post("/sessions/latest", content=b"x" * 1000).status_code == 200


def test_a_large_body_over_the_limit_gets_its_answer_too(api: httpx.Client) -> None:
    assert api.post("/sessions/latest", content=b"x" * 20_000_000).status_code == 413


def test_an_event_over_lambdas_limit_is_413(project: Any, serve: Serve) -> None:
    project.function("Name", NAME, "post /name")

    assert serve().post("/name", content=b"x" * 7_000_000).status_code == 413


def test_a_preflight_request_is_answered_without_a_function(api: httpx.Client) -> None:
    response = api.options("/sessions/latest", headers={"Origin": "https://a.example"})

    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://a.example"
    assert response.headers["access-control-allow-methods"] == "GET,OPTIONS,POST"
    assert response.headers["access-control-max-age"] == "600"
    assert api.gateway.pools["Two"].pids == []  # type: ignore[attr-defined]


def test_the_local_pages_need_no_route(project: Any, serve: Serve, tmp_path: Any) -> None:
    from parley_local.local_keys import JWKS_PATH, keys_page

    project.function("Name", NAME, "get /name")

    keys = serve(pages={("GET", JWKS_PATH): keys_page(tmp_path)}).get("/_local/jwks.json").json()

    assert [key["kty"] for key in keys["keys"]] == ["EC"]
