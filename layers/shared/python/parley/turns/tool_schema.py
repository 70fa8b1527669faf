"""Whether arguments are what a tool's JSON schema says, before a person's decision is used up.

What cannot be told here (formats, other documents, a schema that is none), or not in a time that
grows as the value does, is left to the tool, which looks again. Importing this module imports no
library for schemas: few who decide change arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic_core import SchemaError as NoPattern
from pydantic_core import SchemaValidator, core_schema
from pydantic_core import ValidationError as NoMatch

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

Keyword = Callable[[Any, Any, Any, Any], Iterator["ValidationError"]]

_REASON_CHARS = 200
_PATTERNS_KEPT = 64


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
    from jsonschema import Draft202012Validator, FormatChecker, SchemaError
    from jsonschema.exceptions import UnknownType, best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    if not isinstance(schema, dict) or not isinstance(schema.get("$schema", ""), str):
        return None  # nothing is said of it
    kind: Any = _careful(validator_for(schema, default=Draft202012Validator))
    try:
        # Without formats: a pattern that `re` does not know is none of them.
        kind.check_schema(schema, format_checker=FormatChecker(formats=()))
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
            return Fault((*path, next(_additional(given, said))), "is not known")
    if len(error.message) > _REASON_CHARS:  # it quotes the value, or all that may stand there
        return Fault(path, f"is not what {error.validator} of the tool's schema says")
    return Fault(path, f"is not what the tool's schema says: {error.message}")


@cache
def _careful(kind: type[Validator]) -> type[Validator]:
    """Return a kind of validator whose time no pattern and no value makes grow without bound.

    Multiples of a fraction it does not look for: of 0.3 it cannot be told whether it is one of 0.1.
    Nor for what other keywords left over (`unevaluatedProperties`, `unevaluatedItems`).
    """
    from jsonschema.validators import extend

    known = kind.VALIDATORS
    ours: dict[str, Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
        "unevaluatedProperties": _nothing,
        "unevaluatedItems": _nothing,
    }
    # A draft has the keywords that it has; those of another mean nothing in it.
    chosen = {name: keyword for name, keyword in ours.items() if name in known}
    for name in ("multipleOf", "divisibleBy"):  # the same; this is what the third draft calls it
        if name in known:
            chosen[name] = _of_whole_numbers(known[name])
    made: type[Validator] = extend(kind, chosen)  # type: ignore[no-untyped-call]
    return made


def _of_whole_numbers(keyword: Keyword) -> Keyword:
    def checked(validator: Any, step: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        if isinstance(step, int) and isinstance(value, int):
            yield from keyword(validator, step, value, schema)

    return checked


def _nothing(*_: Any) -> Iterator[ValidationError]:
    yield from ()


def _pattern(_: Any, said: str, value: Any, __: Any) -> Iterator[ValidationError]:
    from jsonschema import ValidationError

    if isinstance(value, str) and _matches(value, said) is False:
        yield ValidationError(f"{value!r} does not match {said!r}")


def _pattern_properties(
    validator: Any, said: Mapping[str, Any], value: Any, _: Any
) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    for pattern, schema in said.items():
        for name, given in value.items():
            if _matches(name, pattern):
                yield from validator.descend(given, schema, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, said: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    from jsonschema import ValidationError

    if not isinstance(value, dict):
        return
    for name in _additional(value, schema):
        if said is False:
            yield ValidationError("additional properties are not allowed")
            return  # the first of them is named
        yield from validator.descend(value[name], said, path=name)


def _additional(given: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that a schema says nothing else of, as far as can be told."""
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name in given:
        if name not in known and all(_matches(name, each) is False for each in patterns):
            yield name


def _unique_items(_: Any, said: Any, value: Any, __: Any) -> Iterator[ValidationError]:
    from jsonschema import ValidationError

    if said is True and isinstance(value, list) and len(set(map(_key, value))) < len(value):
        yield ValidationError(f"{value!r} has non-unique elements")


def _key(value: Any) -> Hashable:
    """Return what is the same of two values of JSON if they are: 1 and 1.0, but not 1 and true."""
    match value:
        case dict():
            return "object", frozenset((name, _key(each)) for name, each in value.items())
        case list():
            return "array", tuple(map(_key, value))
        case bool() | None | str():
            return type(value).__name__, value
        case float() if not value.is_integer():
            return "number", value.hex()
    # As text: numbers can be chosen so that their hashes are the same, texts cannot.
    return "number", hex(int(value))


def _matches(value: str, pattern: str) -> bool | None:
    """Return whether a pattern is found in a text; None if the engine does not know the pattern."""
    engine = _engine(pattern)
    if engine is None:
        return None
    try:
        engine.validate_python(value)
    except NoMatch:
        return False
    return True


@lru_cache(maxsize=_PATTERNS_KEPT)
def _engine(pattern: str) -> SchemaValidator | None:
    """Return what looks for a pattern in a time that grows as the text does."""
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern))
    except NoPattern:
        return None
