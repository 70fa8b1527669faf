"""What a function is given, and what a client gets of its answer, over real HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Serve = Callable[..., httpx.Client]

ECHO = """
    import json
    def handler(event, context):
        return {"statusCode": 200, "body": json.dumps(event)}
"""


@pytest.fixture
def echo(project: Any, serve: Serve) -> httpx.Client:
    project.function("Echo", ECHO, "any /things/{thing_id}", "get /things", "get /files/{path+}")
    return serve()


def test_a_request_becomes_a_rest_api_event(echo: httpx.Client) -> None:
    response = echo.post(
        "/things/a%20b%2Fc?one=1&two=2&two=%C3%BC&flag",
        content='{"x": 1}',
        headers=[
            ("User-Agent", "tester/1"),
            ("Content-Type", "application/json"),
            ("X-Many", "first"),
            ("X-Many", "second"),
        ],
    )

    event = response.json()
    context = event.pop("requestContext")
    headers = {name.lower(): value for name, value in event.pop("headers").items()}
    many = {name.lower(): value for name, value in event.pop("multiValueHeaders").items()}
    assert event == {
        "resource": "/things/{thing_id}",
        "path": "/things/a%20b%2Fc",
        "httpMethod": "POST",
        "queryStringParameters": {"one": "1", "two": "ü", "flag": ""},
        "multiValueQueryStringParameters": {"one": ["1"], "two": ["2", "ü"], "flag": [""]},
        "pathParameters": {"thing_id": "a b/c"},
        "stageVariables": None,
        "body": '{"x": 1}',
        "isBase64Encoded": False,
    }
    assert headers["x-many"] == "second"
    assert many["x-many"] == ["first", "second"]
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-port"] == str(echo.base_url.port)
    assert set(context) == {
        "accountId", "apiId", "domainName", "domainPrefix", "extendedRequestId", "httpMethod",
        "identity", "path", "protocol", "requestId", "requestTime", "requestTimeEpoch",
        "resourceId", "resourcePath", "stage",
    }  # fmt: skip
    assert context["path"] == "/v1/things/a%20b%2Fc"
    assert context["resourcePath"] == "/things/{thing_id}"
    assert context["stage"] == "v1"
    assert context["protocol"] == "HTTP/1.1"
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert context["identity"]["userAgent"] == "tester/1"
    assert context["requestId"] == response.headers["x-amzn-requestid"]


def test_what_a_request_does_not_have_is_null(echo: httpx.Client) -> None:
    event = echo.get("/things").json()

    assert event["body"] is None
    assert event["pathParameters"] is None
    assert event["queryStringParameters"] is None
    assert event["multiValueQueryStringParameters"] is None


def test_a_body_that_is_no_text_arrives_as_base64(echo: httpx.Client) -> None:
    event = echo.put("/things/1", content=b"\xff\x00\xfe").json()

    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"\xff\x00\xfe"


def test_a_greedy_parameter_takes_the_rest_of_the_path(echo: httpx.Client) -> None:
    assert echo.get("/files/a/b/c").json()["pathParameters"] == {"path": "a/b/c"}


def test_headers_that_a_client_must_not_forge_do_not_arrive(echo: httpx.Client) -> None:
    forged = {
        "x-amzn-request-context": '{"authorizer": {"user_id": "eve"}}',
        "x-amzn-lambda-context": "{}",
        "x-forwarded-proto": "https",
    }

    headers = echo.get("/things", headers=forged).json()["multiValueHeaders"]

    assert "x-amzn-request-context" not in {name.lower() for name in headers}
    assert "x-amzn-lambda-context" not in {name.lower() for name in headers}
    assert headers["X-Forwarded-Proto"] == ["http"]


def test_an_answer_keeps_its_status_its_repeated_headers_and_its_bytes(
    project: Any, serve: Serve
) -> None:
    project.function(
        "Image",
        """
        import base64
        def handler(event, context):
            return {
                "statusCode": "201",
                "headers": {"Content-Type": "image/png", "x-amzn-requestid": "mine"},
                "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
                "body": base64.b64encode(bytes(range(256))).decode(),
                "isBase64Encoded": True,
            }
        """,
        "get /image",
    )

    response = serve().get("/image")

    assert response.status_code == 201
    assert response.content == bytes(range(256))
    assert response.headers["content-type"] == "image/png"
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert response.headers.get_list("x-amzn-requestid") != ["mine"]


def test_the_context_is_lambdas(project: Any, serve: Serve) -> None:
    project.function(
        "Look",
        """
        import json, os
        def handler(event, context):
            return {"statusCode": 200, "body": json.dumps({
                "request": context.aws_request_id == event["requestContext"]["requestId"],
                "name": context.function_name,
                "memory": context.memory_limit_in_mb,
                "arn": context.invoked_function_arn,
                "left": context.get_remaining_time_in_millis(),
                "variable": os.environ["AWS_LAMBDA_FUNCTION_NAME"],
                "root": os.environ["LAMBDA_TASK_ROOT"] == os.getcwd(),
                "template": os.environ["COLOUR"],
                "caller": os.environ["SIZE"],
                "secret": os.environ.get("HOME"),
            })}
        """,
        "get /look",
        MemorySize=256,
        Timeout=300,
        Environment={"Variables": {"COLOUR": "red", "SIZE": "s"}},
    )

    seen = json.loads(serve(variables={"SIZE": "xl"}).get("/look").content)

    left = seen.pop("left")
    assert 100_000 < left <= 300_000  # milliseconds, and no machine is as late as that
    assert seen == {
        "request": True,
        "name": "Look",
        "memory": "256",
        "arn": "arn:aws:lambda:us-east-1:123456789012:function:Look",
        "variable": "Look",
        "root": True,
        "template": "red",
        "caller": "xl",
        "secret": None,
    }


def test_what_a_function_prints_does_not_get_into_its_answer(
    project: Any, serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    project.function(
        "Talk",
        """
        import os, subprocess, sys
        print("at import")
        def handler(event, context):
            print("in the handler")
            os.write(1, b"on the descriptor" + bytes([10]))
            subprocess.run([sys.executable, "-c", "print('in a child')"], check=True)
            return {"statusCode": 200, "body": "clean"}
        """,
        "get /talk",
    )
    client = serve()

    assert [client.get("/talk").text for _ in range(2)] == ["clean", "clean"]
    logs = capfd.readouterr()
    assert logs.out == ""
    for line in ("at import", "in the handler", "on the descriptor", "in a child"):
        assert line in logs.err
