"""Asks the project's routes, in the test's process."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.composition import Composition
from parley.http.api import Api
from parley.http.project_routes import ProjectRoutes
from parley.manifest import manifest
from parley.testing.parts import settings_of

_TOKEN_SECONDS = 3600


@dataclass(frozen=True)
class Answer:
    """What a route answered.

    Attributes:
        status: The HTTP status.
        headers: By their names in small letters.
        text: The body.
    """

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body as a JSON value.

        Raises:
            ValueError: It is none.
        """
        return json.loads(self.text)


def ask(
    url: str,
    memory: Path,
    method: str,
    path: str,
    *,
    user: str | None,
    scopes: Collection[str],
    body: Any,
    query: Mapping[str, str],
    headers: Mapping[str, str],
) -> Answer:
    """Ask a route of the project, as API Gateway does: see `Workbench.ask`.

    Args:
        url: The database, as its owner has it.
        memory: The SQLite file with the agent-session memory.
        method: In capital letters.
        path: The path, without its query.
        user: Who asks; None for somebody without a token.
        scopes: What the token allows.
        body: Written as JSON; a text is sent as it is, and None is no body.
        query: The query's parameters.
        headers: The request's.
    """
    authorizer = {"user_id": user, "scopes": " ".join(scopes), "exp": time.time() + _TOKEN_SECONDS}
    event = {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": dict(headers),
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} or None,
        "requestContext": {
            "requestId": str(uuid4()),
            "stage": "test",
            "path": f"/test{path}",
            "resourcePath": path,
            "httpMethod": method,
            "authorizer": None if user is None else authorizer,
        },
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    }
    parts = Composition(settings_of(url, memory))
    with closing(parts.database):
        api = Api([], parts, project=ProjectRoutes(manifest().routes))
        context = SimpleNamespace(aws_request_id=str(uuid4()))
        response = api(event, cast("LambdaContext", context))
    several = {name: values[0] for name, values in response["multiValueHeaders"].items()}
    given = {**several, **response.get("headers", {})}
    return Answer(
        response["statusCode"],
        {name.lower(): value for name, value in given.items()},
        response.get("body") or "",
    )
