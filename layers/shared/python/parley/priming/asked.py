"""Requests of nobody's, as API Gateway makes events of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from parley.http.api import Api
from parley.http.identity import ADMIN
from parley.priming.rows import NOBODY
from parley.priming.steps import PrimingFailed

SECONDS = 20
"""How long anything may take. It takes a part of one; what waits longer waits for nobody."""

SAID = {"text": "."}
"""A message as short as the deployment's may have to be."""


class NoInvocation:
    """What stands in for Lambda's context."""

    aws_request_id = ""

    def get_remaining_time_in_millis(self) -> int:
        """Return enough."""
        return SECONDS * 1000


def event(
    method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the event of a request by somebody who may do everything.

    Args:
        method: Its method.
        path: Its path.
        body: Written as JSON; None for none.
        query: Its query.
    """
    query = query or {}
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": {"Content-Type": "application/json"},
        "multiValueHeaders": {"Content-Type": ["application/json"]},
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} or None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "requestId": "",
            "requestTimeEpoch": int(time.time() * 1000),
            "authorizer": {
                "user_id": NOBODY,
                "scopes": ADMIN,
                "exp": str(int(time.time()) + SECONDS),
            },
        },
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }


def ask(
    api: Api,
    parts: object,
    method: str,
    path: str,
    body: Any = None,
    query: Mapping[str, str] | None = None,
) -> None:
    """Have an API answer a request of nobody's.

    Raises:
        PrimingFailed: It answered something else than success.
    """
    answer = api.answer(event(method, path, body, query), NoInvocation(), parts=parts)  # type: ignore[arg-type]
    if answer["statusCode"] >= 300:
        raise PrimingFailed(f"{method} {path}", answer["statusCode"])
