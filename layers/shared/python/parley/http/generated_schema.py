"""What is made of the OpenAPI document that Powertools generates."""

from __future__ import annotations

from typing import Any


def drop_null_parameters(made: dict[str, Any]) -> None:
    """Take null out of what parameters may be: one that is not there is left out, not sent so."""
    for path in made["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                schema = parameter["schema"]
                match [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]:
                    case [only]:
                        del schema["anyOf"]
                        parameter["schema"] = only | schema


def drop_foreign_errors(made: dict[str, Any]) -> None:
    """Take out the error bodies that the framework describes; ours are problem documents."""
    for path in made["paths"].values():
        for operation in path.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError", "ResponseValidationError"):
        made["components"]["schemas"].pop(name, None)
