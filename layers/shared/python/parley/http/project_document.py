"""The OpenAPI document of a deployment: Parley's own, with the routes of the project.

Made when somebody asks for it, since a start would have to wait for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from copy import copy
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.api_gateway import Router

from parley.http.documented import errors_of_any
from parley.http.generated_schema import drop_foreign_errors, drop_null_parameters
from parley.http.paths import document

_SCHEMAS = "#/components/schemas/"


def with_routes(routers: Sequence[Router]) -> str:
    """Return the document with the routes of some routers; as it is committed without any."""
    if not routers:
        return document()
    whole: dict[str, Any] = json.loads(document())
    own = _described(routers)
    taken = whole["components"]["schemas"]
    for name, schema in _under_free_names(own, frozenset(taken)).items():
        taken[name] = schema
    whole["paths"] |= own["paths"]
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _described(routers: Sequence[Router]) -> dict[str, Any]:
    resolver = APIGatewayRestResolver(enable_validation=True)
    for router in routers:
        # A copy: a router knows one resolver, which gives its functions the request.
        resolver.include_router(copy(router))
    made: dict[str, Any] = json.loads(
        resolver.get_openapi_json_schema(title="", version="", openapi_version="3.1.0")
    )
    made.setdefault("components", {}).setdefault("schemas", {})
    drop_foreign_errors(made)
    drop_null_parameters(made)
    for path in made["paths"].values():
        for operation in path.values():
            errors = errors_of_any(takes_something=_takes_something(operation))
            operation["responses"] = errors | operation["responses"]
    return made


def _takes_something(operation: dict[str, Any]) -> bool:
    return bool(operation.get("parameters") or operation.get("requestBody"))


def _under_free_names(own: dict[str, Any], taken: frozenset[str]) -> dict[str, Any]:
    """Return the schemas of a document, renamed where Parley has one of that name.

    What refers to them in the document is changed along.
    """
    schemas: dict[str, Any] = own["components"]["schemas"]
    shared = {name for name in ("Problem", "FieldError") if name in schemas}
    renamed = {name: _free(name, taken) for name in schemas.keys() & taken - shared}
    _refer(own, renamed)
    return {renamed.get(name, name): schemas[name] for name in schemas if name not in shared}


def _free(name: str, taken: frozenset[str]) -> str:
    while name in taken:
        name = f"Project{name}"
    return name


def _refer(part: Any, renamed: dict[str, str]) -> None:
    """Change each reference to a schema below a part of a document."""
    if isinstance(part, list):
        for each in part:
            _refer(each, renamed)
    elif isinstance(part, dict):
        reference = part.get("$ref")
        if isinstance(reference, str) and reference.startswith(_SCHEMAS):
            name = re.sub(f"^{_SCHEMAS}", "", reference)
            part["$ref"] = _SCHEMAS + renamed.get(name, name)
        for each in part.values():
            _refer(each, renamed)
