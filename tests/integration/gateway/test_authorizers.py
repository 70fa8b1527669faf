"""The gateway asks, caches and obeys a Lambda authorizer as API Gateway does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

Serve = Callable[..., httpx.Client]

WHO = """
    import json
    def handler(event, context):
        return {"statusCode": 200, "body": json.dumps(event["requestContext"].get("authorizer"))}
"""
# Answers by the token, and notes each time that it is asked.
GUARD = """
    import os
    def policy(effect, resource):
        statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
        return {"Version": "2012-10-17", "Statement": [statement]}
    def handler(event, context):
        token = event["authorizationToken"]
        with open(os.environ["ASKED"], "a") as file:
            file.write(f"{event['type']} {token} {event['methodArn']}\\n")
        api = event["methodArn"].split("/")[0]
        answer = {"principalId": token, "context": {"user_id": token, "exp": 17, "old": False}}
        match token:
            case "bad": raise Exception("Unauthorized")
            case "broken": raise RuntimeError("the issuer is down")
            case "deny": answer["policyDocument"] = policy("Deny", "*")
            case "elsewhere": answer["policyDocument"] = policy("Allow", api + "/v1/GET/other")
            case "nothing": answer = {"principalId": "x"}
            case "object": answer["context"]["scopes"] = ["a"]
        answer.setdefault("policyDocument", policy("Allow", api + "/v1/*"))
        if token == "nothing":
            del answer["policyDocument"]
        return answer
"""


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    file = tmp_path / "asked"
    file.touch()
    return file


@pytest.fixture
def api(project: Any, serve: Serve, asked: Path) -> httpx.Client:
    project.function("Who", WHO, "get /who", "get /other", "get /health open")
    project.authorizer(GUARD, Identity={"ValidationExpression": "^[a-z]+$"})
    project.gateway_response("UNAUTHORIZED", '{"code": "unauthorized"}')
    return serve(variables={"ASKED": str(asked)})


def get(api: httpx.Client, token: str, path: str = "/who") -> httpx.Response:
    return api.get(path, headers={"Authorization": token})


def test_the_function_learns_what_the_authorizer_said(api: httpx.Client, asked: Path) -> None:
    caller = get(api, "alice").json()

    assert isinstance(caller.pop("integrationLatency"), int)
    assert caller == {"principalId": "alice", "user_id": "alice", "exp": "17", "old": "false"}
    arn = "arn:aws:execute-api:us-east-1:123456789012:local/v1/GET/who"
    assert asked.read_text() == f"TOKEN alice {arn}\n"


def test_the_answer_is_kept_for_the_token(api: httpx.Client, asked: Path) -> None:
    callers = [get(api, token, path).json()["user_id"] for token, path in [
        ("alice", "/who"), ("alice", "/other"), ("bob", "/who"), ("alice", "/who"),
    ]]  # fmt: skip

    assert callers == ["alice", "alice", "bob", "alice"]
    assert len(asked.read_text().splitlines()) == 2


def test_a_kept_policy_is_judged_for_each_request(api: httpx.Client, asked: Path) -> None:
    statuses = [get(api, "elsewhere", path).status_code for path in ("/who", "/other", "/who")]

    assert statuses == [403, 200, 403]
    assert len(asked.read_text().splitlines()) == 1


def test_without_a_time_to_live_nothing_is_kept(project: Any, serve: Serve, asked: Path) -> None:
    project.function("Who", WHO, "get /who")
    project.authorizer(GUARD, Identity={"ReauthorizeEvery": 0})
    client = serve(variables={"ASKED": str(asked)})

    assert [get(client, "alice").status_code for _ in range(2)] == [200, 200]
    assert len(asked.read_text().splitlines()) == 2


def test_an_open_route_asks_nobody_and_names_nobody(api: httpx.Client, asked: Path) -> None:
    assert get(api, "alice", "/health").json() is None
    assert asked.read_text() == ""


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}, {"Authorization": "NOT ONE"}])
def test_no_token_or_one_of_another_form_is_401_unasked(
    api: httpx.Client, asked: Path, headers: dict[str, str]
) -> None:
    response = api.get("/who", headers=headers)

    assert response.status_code == 401
    assert response.json() == {"code": "unauthorized"}
    assert asked.read_text() == ""


@pytest.mark.parametrize(
    ("token", "status", "kind", "body"),
    [
        ("bad", 401, "UnauthorizedException", {"code": "unauthorized"}),
        ("broken", 500, "AuthorizerFailureException", {"message": None}),
        (
            "deny",
            403,
            "AccessDeniedException",
            {"message": "User is not authorized to access this resource with an explicit deny"},
        ),
        (
            "elsewhere",
            403,
            "AccessDeniedException",
            {"message": "User is not authorized to access this resource"},
        ),
        ("nothing", 500, "AuthorizerConfigurationException", {"message": None}),
        ("object", 500, "AuthorizerConfigurationException", {"message": None}),
    ],
)
def test_what_an_authorizer_refuses_has_a_gateway_response_of_its_own(
    api: httpx.Client, token: str, status: int, kind: str, body: dict[str, Any]
) -> None:
    response = get(api, token)

    assert response.status_code == status
    assert response.headers["x-amzn-errortype"] == kind
    assert response.json() == body
    assert api.gateway.pools["Who"].pids == []  # type: ignore[attr-defined]


def test_a_refusal_by_exception_is_not_kept(api: httpx.Client, asked: Path) -> None:
    assert [get(api, "bad").status_code for _ in range(2)] == [401, 401]
    assert len(asked.read_text().splitlines()) == 2


def test_a_request_authorizer_gets_the_request(project: Any, serve: Serve) -> None:
    project.function("Who", WHO, "get /who/{name}")
    project.authorizer(
        """
        def handler(event, context):
            statement = {
                "Action": "execute-api:*", "Effect": "Allow", "Resource": [event["methodArn"]]
            }
            name = event["pathParameters"]["name"] + event["queryStringParameters"]["key"]
            return {"principalId": name, "policyDocument": {"Statement": statement}}
        """,
        FunctionPayloadType="REQUEST",
        Identity={"QueryStrings": ["key"]},
    )
    client = serve()

    assert client.get("/who/al?key=ice").json()["principalId"] == "alice"
    assert client.get("/who/al").status_code == 401


@pytest.mark.parametrize(("open_preflight", "status"), [(True, 200), (False, 401)])
def test_preflight_needs_a_token_only_where_the_template_says_so(
    project: Any, serve: Serve, asked: Path, open_preflight: bool, status: int
) -> None:
    project.function("Who", WHO, "get /who")
    project.authorizer(GUARD)
    project.api["Cors"] = "'*'"
    project.api["Auth"]["AddDefaultAuthorizerToCorsPreflight"] = not open_preflight

    response = serve(variables={"ASKED": str(asked)}).options("/who")

    assert response.status_code == status
