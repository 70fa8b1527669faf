"""Reading template.yaml as SAM would deploy it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parley_local.cloudformation import Resolver, load
from parley_local.queue_template import read_queue
from parley_local.template import (
    ANY,
    Authorizer,
    Cors,
    Function,
    GatewayResponse,
    Route,
    Schedule,
    Template,
)


def read_template(
    path: Path, root: Path | None = None, *, parameters: Mapping[str, str] | None = None
) -> Template:
    """Read a SAM template.

    Args:
        path: The template.
        root: Where `CodeUri` starts from; the template's own folder by default.
        parameters: Values of parameters that are not to have their defaults.

    Raises:
        OSError: The template cannot be read.
        ValueError: It is not YAML, or misses what the gateway needs.
    """
    document = load(path)
    resolver = Resolver(document, parameters)
    resources: dict[str, Any] = document.get("Resources") or {}
    shared: dict[str, Any] = document.get("Globals") or {}
    functions: dict[str, Function] = {}
    events: list[tuple[str, dict[str, Any]]] = []
    schedules: list[Schedule] = []
    sources: list[tuple[str, dict[str, Any]]] = []
    for name, resource in resources.items():
        if resource.get("Type") != "AWS::Serverless::Function":
            continue
        merged = _merge(shared.get("Function") or {}, resource.get("Properties") or {})
        functions[name] = _function(name, merged, (root or path.parent).resolve(), resolver)
        for event in (merged.get("Events") or {}).values():
            if event.get("Type") == "Api":
                events.append((name, event.get("Properties") or {}))
            elif event.get("Type") in ("Schedule", "ScheduleV2"):
                schedule = event.get("Properties") or {}
                if resolver.get(schedule.get("State")) != "DISABLED":
                    schedules.append(_schedule(name, schedule, resolver))
            elif event.get("Type") == "SQS":
                sources.append((name, event.get("Properties") or {}))
    api = _api(resources, shared)
    auth = api.get("Auth") or {}
    authorizers = {
        name: _authorizer(name, entry, functions, resolver)
        for name, entry in (auth.get("Authorizers") or {}).items()
    }
    default = resolver.get(auth.get("DefaultAuthorizer"))
    routes = tuple(_route(name, event, default, resolver) for name, event in events)
    for route in routes:
        if route.authorizer is not None and route.authorizer not in authorizers:
            raise ValueError(f"{route.method} {route.path}: no authorizer {route.authorizer}.")
        if route.streams is not functions[route.function].is_web_server:
            raise ValueError(
                f"{route.method} {route.path}: RESPONSE_STREAM and Lambda Web Adapter go together."
            )
    return Template(
        functions=functions,
        routes=routes,
        authorizers=authorizers,
        gateway_responses={
            name: _gateway_response(resolver.get(entry, {}))
            for name, entry in (api.get("GatewayResponses") or {}).items()
        },
        cors=_cors(
            resolver.get(api.get("Cors")),
            # SAM's default is to ask the authorizer, though browsers send no token here.
            None if auth.get("AddDefaultAuthorizerToCorsPreflight") is False else default,
        ),
        stage=str(resolver.get(api.get("StageName"), "Prod")),
        binary_types=tuple(
            str(kind).replace("~1", "/") for kind in resolver.get(api.get("BinaryMediaTypes"), [])
        ),
        schedules=tuple(schedules),
        queue=read_queue(sources, resources, resolver),
    )


def _api(resources: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    apis = [r for r in resources.values() if r.get("Type") == "AWS::Serverless::Api"]
    if len(apis) > 1:
        raise ValueError("The local gateway serves one REST API; the template has several.")
    own = apis[0].get("Properties") or {} if apis else {}
    return _merge(shared.get("Api") or {}, own)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge as SAM's Globals do: mappings into each other, lists one after the other."""
    merged = dict(base)
    for name, value in over.items():
        old = merged.get(name)
        if isinstance(old, dict) and isinstance(value, dict) and not _is_intrinsic(value):
            merged[name] = _merge(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            merged[name] = [*old, *value]
        else:
            merged[name] = value
    return merged


def _is_intrinsic(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and all(name == "Ref" or name.startswith("Fn::") for name in value)


def _function(name: str, properties: dict[str, Any], root: Path, resolver: Resolver) -> Function:
    code = resolver.get(properties.get("CodeUri"))
    handler = resolver.get(properties.get("Handler"))
    if not isinstance(code, str) or not isinstance(handler, str):
        raise ValueError(f"{name} needs a CodeUri in the repository and a Handler.")
    environment = properties.get("Environment") or {}
    variables = resolver.get(environment.get("Variables"), {})
    return Function(
        name=name,
        folder=(root / code).resolve(),
        handler=handler,
        timeout=float(resolver.get(properties.get("Timeout"), 3)),
        memory=int(resolver.get(properties.get("MemorySize"), 128)),
        variables={key: _text(value) for key, value in variables.items() if value != ""},
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _route(function: str, event: dict[str, Any], default: str | None, resolver: Resolver) -> Route:
    method = str(resolver.resolve(event["Method"])).upper()
    path = str(resolver.resolve(event["Path"]))
    named = resolver.get((event.get("Auth") or {}).get("Authorizer"), default)
    limit = resolver.get(event.get("TimeoutInMillis"))
    return Route(
        method=ANY if method in ("ANY", "X-AMAZON-APIGATEWAY-ANY-METHOD") else method,
        path=path if path == "/" else path.rstrip("/"),
        function=function,
        authorizer=None if named in (None, "NONE") else str(named),
        timeout=None if limit is None else float(limit) / 1000,
        streams=resolver.get(event.get("ResponseTransferMode")) == "RESPONSE_STREAM",
    )


def _schedule(function: str, event: dict[str, Any], resolver: Resolver) -> Schedule:
    expression = resolver.get(event.get("ScheduleExpression") or event.get("Schedule"))
    if not isinstance(expression, str):
        raise ValueError(f"A schedule of {function} has no ScheduleExpression.")
    return Schedule(function, expression, json.loads(resolver.get(event.get("Input"), "{}")))


def _authorizer(
    name: str, entry: dict[str, Any], functions: Mapping[str, Function], resolver: Resolver
) -> Authorizer:
    function = _function_of(entry.get("FunctionArn"), functions)
    if function is None:
        raise ValueError(f"The authorizer {name} names no function of the template.")
    identity = resolver.get(entry.get("Identity"), {})
    kind = str(resolver.get(entry.get("FunctionPayloadType"), "TOKEN")).upper()
    token = kind == "TOKEN"
    return Authorizer(
        name=name,
        function=function,
        kind=kind,
        headers=(identity.get("Header", "Authorization"),)
        if token
        else tuple(identity.get("Headers", ())),
        query_strings=() if token else tuple(identity.get("QueryStrings", ())),
        pattern=identity.get("ValidationExpression"),
        ttl=float(identity.get("ReauthorizeEvery", 300)),
    )


def _function_of(reference: Any, functions: Mapping[str, Function]) -> str | None:
    """Name the function that `!GetAtt F.Arn`, `!Ref F.Alias` or a `!Sub` of either points to."""
    if isinstance(reference, dict):
        (_, argument), *_ = reference.items()
        parts = argument if isinstance(argument, list) else [argument]
        text = ".".join(str(part) for part in parts)
    else:
        text = str(reference)
    for name in sorted(functions, key=len, reverse=True):
        if name in text.replace("${", "").replace("}", "").split("."):
            return name
    return next((n for n in sorted(functions, key=len, reverse=True) if n in text), None)


def _gateway_response(entry: Mapping[str, Any]) -> GatewayResponse:
    parameters = entry.get("ResponseParameters") or {}
    status = entry.get("StatusCode")
    return GatewayResponse(
        status=None if status is None else int(status),
        headers={name: str(value) for name, value in (parameters.get("Headers") or {}).items()},
        templates=dict(entry.get("ResponseTemplates") or {}),
    )


def _cors(entry: Any, authorizer: str | None) -> Cors | None:
    if entry is None:
        return None
    if not isinstance(entry, dict):
        entry = {"AllowOrigin": entry}
    if "AllowOrigin" not in entry:
        raise ValueError("Cors needs an AllowOrigin.")
    texts = {name: None if value is None else _unquote(str(value)) for name, value in entry.items()}
    return Cors(
        origin=texts["AllowOrigin"] or "",
        methods=texts.get("AllowMethods"),
        headers=texts.get("AllowHeaders"),
        max_age=texts.get("MaxAge"),
        credentials=entry.get("AllowCredentials") is True,
        authorizer=authorizer,
    )


def _unquote(text: str) -> str:
    """SAM wants static values as `'value'`, quotes included; the wire gets the value."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text
