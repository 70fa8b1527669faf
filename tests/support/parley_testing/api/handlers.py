"""The functions' handlers, loaded as Lambda loads them and called with REST API events."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch
from urllib.parse import urljoin
from uuid import uuid4

from parley import starting
from parley_testing.api.asgi import handler_of
from parley_testing.waiting import HANG_SECONDS

FUNCTIONS = Path(__file__).parents[4] / "functions"


def load_function(name: str) -> ModuleType:
    """Run a function's `app.py` anew, as a cold start does. The environment must be set before.

    Its folder stays on the path, as there, since a handler may import from it later.
    """
    folder = FUNCTIONS / name
    spec = importlib.util.spec_from_file_location(f"function_{name}", folder / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    # A test's process goes on after it, and all that was made meanwhile would stay.
    # By nothing rather than mocks, which take longer to make than the function does.
    with patch.multiple(starting, begin=_nothing, done=_nothing):
        spec.loader.exec_module(module)
    return module


def _nothing() -> None:
    """Stand in for a step of a start."""


class Context:
    """Lambda's context."""

    function_name = "under-test"
    function_version = "$LATEST"
    memory_limit_in_mb = 1024
    log_group_name = "/aws/lambda/under-test"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:under-test"

    def __init__(self, seconds: float = HANG_SECONDS) -> None:
        self.aws_request_id = str(uuid4())
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - time.monotonic()) * 1000)


class Answer:
    """A handler's response."""

    def __init__(self, response: Mapping[str, Any]) -> None:
        self.status = int(response["statusCode"])
        self.body = response.get("body") or ""
        joined = {name: values[0] for name, values in response.get("multiValueHeaders", {}).items()}
        self.headers = {
            name.lower(): value
            for name, value in (joined | dict(response.get("headers") or {})).items()
        }

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:300]}>"


def rest_event(
    method: str,
    path: str,
    body: Any = None,
    *,
    user: str | None = "alice",
    scopes: str = "",
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    age: float = 0,
) -> dict[str, Any]:
    """Make the event that API Gateway makes of a request that came `age` seconds ago.

    `body` is JSON, or a string as it is.
    """
    authorizer = {"user_id": user, "scopes": scopes, "exp": str(int(time.time()) + 3600)}
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": dict(headers or {}) or None,
        "multiValueHeaders": {name: [value] for name, value in (headers or {}).items()} or None,
        "queryStringParameters": dict(query) if query else None,
        "multiValueQueryStringParameters": (
            {name: [value] for name, value in query.items()} if query else None
        ),
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "requestId": str(uuid4()),
            "requestTimeEpoch": int((time.time() - age) * 1000),
            "stage": "v1",
            "path": f"/v1{path}",
            "resourcePath": path,
            "httpMethod": method,
            "authorizer": authorizer if user is not None else None,
        },
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    }


class Api:
    """The deployment's functions behind their routes, each loaded at its first use."""

    def __init__(self) -> None:
        self._functions: dict[str, ModuleType] = {}

    def function(self, name: str) -> ModuleType:
        """Return a function's module, the same one for the life of this object: a warm process."""
        if name not in self._functions:
            self._functions[name] = load_function(name)
        return self._functions[name]

    def handler(self, method: str, path: str) -> Any:
        """Return the handler of the function that serves a route."""
        _, first, *_ = path.split("/")
        last = path.rstrip("/").rsplit("/", 1)[-1]
        if (last in ("stream", "events") and first != "admin") or first in ("ag-ui", "ai-sdk"):
            return handler_of(self.function("stream").app)
        return self.function(
            "messages" if method == "POST" and last == "messages" else "sessions"
        ).handler

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        seconds: float = HANG_SECONDS,
        **parts: Any,
    ) -> Answer:
        """Send a request as a user and give the answer; see `rest_event` for the parts."""
        handler = self.handler(method, path)
        answer = Answer(handler(rest_event(method, path, body, **parts), Context(seconds)))
        if "location" in answer.headers:  # as a client resolves it
            answer.headers["location"] = urljoin(path, answer.headers["location"])
        return answer

    def new_session(self, user: str = "alice", **fields: Any) -> str:
        """Make a session and give its id."""
        answer = self("POST", "/sessions", fields, user=user)
        assert answer.status == 201, answer
        session_id: str = answer.json["id"]
        return session_id

    def close(self) -> None:
        """Close the functions' connections."""
        for module in self._functions.values():
            module.parts.database.close()
