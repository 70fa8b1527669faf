"""The errors that API Gateway makes itself, worded by the template's GatewayResponses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from parley_local.messages import HttpResponse
from parley_local.request_context import RequestContext
from parley_local.template import GatewayResponse

# Type: default status, message, x-amzn-errortype. As API Gateway documents them; a None message
# is what it says of an authorizer that failed.
_KINDS: dict[str, tuple[int, str | None, str]] = {
    "ACCESS_DENIED": (
        403,
        "User is not authorized to access this resource",
        "AccessDeniedException",
    ),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, None, "AuthorizerConfigurationException"),
    "AUTHORIZER_FAILURE": (500, None, "AuthorizerFailureException"),
    # A function that failed, or answered what is no proxy response, has no type of its own.
    "DEFAULT_5XX": (502, "Internal server error", "InternalServerErrorException"),
    "INTEGRATION_TIMEOUT": (
        504,
        "Endpoint request timed out",
        "InternalServerErrorException",
    ),
    "MISSING_AUTHENTICATION_TOKEN": (
        403,
        "Missing Authentication Token",
        "MissingAuthenticationTokenException",
    ),
    "REQUEST_TOO_LARGE": (413, "Request Too Long", "RequestTooLargeException"),
    "UNAUTHORIZED": (401, "Unauthorized", "UnauthorizedException"),
}
_VARIABLE = re.compile(r"\$(?:\{(context\.[\w.]+)\}|(context(?:\.\w+)+))")
_DEFAULT_TEMPLATES = {"application/json": '{"message":$context.error.messageString}'}


def gateway_response(
    kind: str,
    context: RequestContext,
    responses: Mapping[str, GatewayResponse],
    message: str | None = None,
) -> HttpResponse:
    """Return the response of one type.

    Args:
        kind: The type; one that the template does not have takes its DEFAULT_4XX or DEFAULT_5XX.
        context: The request that it answers.
        responses: The template's GatewayResponses.
        message: The error's message, where the type's usual one says too little.
    """
    status, usual, error_type = _KINDS[kind]
    family = "DEFAULT_4XX" if status < 500 else "DEFAULT_5XX"
    chosen = responses.get(kind) or responses.get(family) or GatewayResponse(None, {}, {})
    variables = _variables(kind, context, message or usual)
    content_type, template = _template(chosen.templates, context.request.header("accept"))
    headers = {
        "Content-Type": content_type,
        "x-amzn-ErrorType": error_type,
    }
    for name, expression in chosen.headers.items():
        headers = {n: v for n, v in headers.items() if n.lower() != name.lower()}
        value = _expression(expression, context, variables)
        if value is not None:
            headers[name] = value
    body = _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], ""), template)
    return HttpResponse(chosen.status or status, tuple(headers.items()), body.encode())


def _template(templates: Mapping[str, str], accept: str | None) -> tuple[str, str]:
    known = templates or _DEFAULT_TEMPLATES
    for wanted in (accept or "").split(","):
        kind = wanted.split(";")[0].strip()
        if kind in known:
            return kind, known[kind]
    preferred = "application/json" if "application/json" in known else next(iter(known))
    return preferred, known[preferred]


def _variables(kind: str, context: RequestContext, message: str | None) -> dict[str, str]:
    """Return what a template may name, as text ready to stand in it."""
    event = context.as_event()
    values: dict[str, str] = {}

    def add(prefix: str, entries: Mapping[str, Any]) -> None:
        for name, value in entries.items():
            if isinstance(value, dict):
                add(f"{prefix}.{name}", value)
            elif value is not None:
                values[f"{prefix}.{name}"] = str(value)

    add("context", event)
    values["context.responseType"] = kind
    values["context.error.responseType"] = kind
    values["context.error.message"] = message or ""
    values["context.error.messageString"] = json.dumps(message)
    values["context.error.validationErrorString"] = ""
    return values


def _expression(text: str, context: RequestContext, variables: Mapping[str, str]) -> str | None:
    """Work out a response parameter: `'text'`, `context.…` or `method.request.….name`."""
    if text[:1] == text[-1:] == "'":
        return text[1:-1]
    if text.startswith("context."):
        return variables.get(text)
    source, _, name = text.removeprefix("method.request.").partition(".")
    if source == "header":
        return context.request.header(name)
    if source == "querystring":
        return dict(context.request.query_values()).get(name)
    return None
