"""Whether arguments are what a tool's JSON schema says, before a person's decision is used up.

What cannot be told here (formats, other documents, a schema that is none) is left to the tool,
which looks again. Importing this module imports no library for schemas: few who decide change
arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic_core import SchemaError as NoPattern
from pydantic_core import SchemaValidator, core_schema
from pydantic_core import ValidationError as NoMatch

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

_REASON_CHARS = 200


class Fault(NamedTuple):
    """What is wrong with a value.

    Attributes:
        path: Where, from the outside in: names of properties, and places in arrays.
        reason: What, to stand behind the name of the place.
    """

    path: tuple[str | int, ...]
    reason: str


def fault_of(value: Any, schema: Any) -> Fault | None:
    """Return what most makes a value other than a schema says; None if nothing does.

    Args:
        value: As JSON gives it.
        schema: JSON Schema, of the draft that it names or else of 2020-12.
    """
    from jsonschema import SchemaError
    from jsonschema.exceptions import UnknownType, best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    if not isinstance(schema, dict):
        return None  # nothing is said of it
    kind = _careful(validator_for(schema))
    try:
        kind.check_schema(schema)
        # With a registry of its own, no other document is fetched.
        found = best_match(kind(schema, registry=Registry()).iter_errors(value))
    except (SchemaError, UnknownType, Unresolvable, RecursionError):
        return None
    return None if found is None else _fault(found)


def _fault(error: ValidationError) -> Fault:
    path = tuple(error.absolute_path)
    given, said = cast("Any", error.instance), cast("Any", error.schema)
    match error.validator:
        case "required":
            missing = next(name for name in said["required"] if name not in given)
            return Fault((*path, missing), "is missing")
        case "additionalProperties":
            known = said.get("properties", {})
            return Fault((*path, next(name for name in given if name not in known)), "is not known")
    if len(error.message) > _REASON_CHARS:  # it quotes the value, or all that may stand there
        return Fault(path, f"is not what {error.validator} of the tool's schema says")
    return Fault(path, f"is not what the tool's schema says: {error.message}")


@cache
def _careful(kind: type[Validator]) -> type[Validator]:
    """Return a kind of validator that takes no longer for any pattern than for another.

    Multiples of a fraction it does not look for: of 0.3 it cannot be told whether it is one of 0.1.
    """
    from jsonschema import ValidationError
    from jsonschema.validators import extend

    of_whole = kind.VALIDATORS["multipleOf"]

    def multiple_of(
        validator: Validator, step: Any, value: Any, schema: Any
    ) -> Iterator[ValidationError]:
        if isinstance(step, int) and isinstance(value, int):
            yield from of_whole(validator, step, value, schema)

    def pattern(_: Validator, said: str, value: Any, __: Any) -> Iterator[ValidationError]:
        if isinstance(value, str) and not _matches(value, said):
            yield ValidationError(f"{value!r} does not match {said!r}")

    made: type[Validator] = extend(kind, {"multipleOf": multiple_of, "pattern": pattern})  # type: ignore[no-untyped-call]
    return made


def _matches(value: str, pattern: str) -> bool:
    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern)).validate_python(value)
    except NoPattern:
        return True  # one that this engine does not know
    except NoMatch:
        return False
    return True
