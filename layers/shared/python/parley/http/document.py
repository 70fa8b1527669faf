"""The OpenAPI document of the whole API, generated from the routes.

The functions serve the committed copy (`openapi.json` beside this file), so that no function has
to know another's routes; a test holds the two together, `make openapi` writes it.
"""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer, Server

import parley
from parley.http import (
    admin,
    admin_stats,
    admin_turns,
    approvals,
    budgets,
    memory,
    messages,
    open,
    sessions,
    stream_routes,
    transcript,
    turns,
    usage,
)
from parley.http.front_ends import ag_ui_routes, ai_sdk_routes
from parley.http.generated_schema import drop_foreign_errors, drop_null_parameters

_DESCRIPTION = """\
Conversations with agents that survive what happens to the processes that run them.

Errors are problem documents (RFC 9457): `code` is for programs, `detail` for people. Lists are
paged: pass `next_cursor` as `cursor` until it is null."""

_TOKEN = """\
An access token. Of `parley dev`: `parley token` prints one, for another user with `--user`, for an
administrator with `--admin`. Of a deployment: one of its issuer's, such as Cognito's, made for its
audience."""


ROUTES = (
    *(sessions, messages, stream_routes, ag_ui_routes, ai_sdk_routes, transcript, turns),
    *(approvals, memory, usage, admin, budgets, admin_turns, admin_stats, open),
)
"""The modules of all routes, in the document's order."""


def document() -> dict[str, Any]:
    """Make the document."""
    resolver = APIGatewayRestResolver(enable_validation=True)
    for routes in ROUTES:
        resolver.include_router(routes.router)
    generated = resolver.get_openapi_json_schema(
        title="Parley",
        version=parley.__version__,
        openapi_version="3.1.0",
        description=_DESCRIPTION,
        servers=[Server(url="./")],
        security_schemes={"bearer": HTTPBearer(bearerFormat="JWT", description=_TOKEN)},
        security=[{"bearer": []}],
    )
    made: dict[str, Any] = json.loads(generated)
    drop_foreign_errors(made)
    drop_null_parameters(made)
    _describe_streams(made)
    return made


def _describe_streams(made: dict[str, Any]) -> None:
    """Say what one event of a stream holds: `data` is JSON in text, and that is what is described.

    So OpenAPI describes streams since 3.2; 3.1 leaves open what the schema is of.
    """
    for path in made["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                stream = response.get("content", {}).get("text/event-stream")
                if "schema" not in (stream or {}):  # of another protocol, which is described there
                    continue
                text = {"type": "string"}
                data = {"contentMediaType": "application/json", "contentSchema": stream["schema"]}
                stream["schema"] = {
                    "type": "object",
                    "properties": {"id": text, "event": text, "data": text | data},
                    "required": ["id", "event", "data"],
                }


def written(made: dict[str, Any]) -> str:
    """Return the document as it is committed."""
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"
