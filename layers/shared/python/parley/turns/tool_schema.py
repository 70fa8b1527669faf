"""Whether arguments are what a tool's JSON schema says, before a person's decision is used up.

Who decides does it in a function that has neither the Agents SDK nor a library for schemas. Held
against are the keywords that say what a value is; formats, references to other documents and
whatever else a schema may have are passed over, and left to the tool itself, which looks again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

from parley.errors import ParleyError

STEPS_MAX = 100_000
"""How much is looked at; a schema that refers to itself in circles takes more than any."""

_SHOWN_CHARS = 200
_KINDS: Mapping[str, str] = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


class Fault(NamedTuple):
    """What is wrong with a value.

    Attributes:
        path: Where, from the outside in: names of properties, and places in arrays.
        reason: What, to stand behind the name of the place.
    """

    path: tuple[str | int, ...]
    reason: str


def fault_of(value: Any, schema: Any) -> Fault | None:
    """Return the first thing that makes a value other than a schema says; None if nothing does.

    Args:
        value: As JSON gives it.
        schema: An object of JSON Schema, or a boolean.
    """
    try:
        return next(_Held(schema).faults(value, schema, ()), None)
    except _TooMuch:
        return None  # what cannot be told here, the tool tells


class _TooMuch(ParleyError):
    """More was to be looked at than is."""


class _Held:
    """Holds a value against a schema."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = STEPS_MAX

    def faults(
        self, value: Any, schema: Any, path: tuple[str | int, ...], depth: int = 0
    ) -> Iterator[Fault]:
        """Yield what is wrong, the outermost first."""
        self._left -= 1
        if self._left < 0 or depth > 200:
            raise _TooMuch
        if schema is False:
            yield Fault(path, "may not be there")
        if not isinstance(schema, Mapping):
            return
        if (named := self._named(schema.get("$ref"))) is not None:
            yield from self.faults(value, named, path, depth + 1)
        yield from _of_value(value, schema, path)
        for part in _list(schema.get("allOf")):
            yield from self.faults(value, part, path, depth + 1)
        for word, most in (("anyOf", None), ("oneOf", 1)):
            if word in schema:
                yield from self._choice(value, _list(schema[word]), path, depth, most)
        if isinstance(value, Mapping):
            yield from self._of_object(value, schema, path, depth)
        elif isinstance(value, list):
            yield from self._of_array(value, schema, path, depth)

    def _named(self, reference: object) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found = self._root
        for name in reference[1:].split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping) or name not in found:
                return None
            found = found[name]
        return found

    def _choice(
        self,
        value: Any,
        choices: Sequence[Any],
        path: tuple[str | int, ...],
        depth: int,
        most: int | None,
    ) -> Iterator[Fault]:
        first = [next(self.faults(value, each, path, depth + 1), None) for each in choices]
        if not choices or (most is not None and first.count(None) > most):
            yield Fault(path, "is what several of its forms allow, and only one may")
        elif None not in first:
            # The form that it comes nearest to is the one in which the fault lies deepest.
            yield max((each for each in first if each is not None), key=lambda each: len(each.path))

    def _of_object(
        self,
        value: Mapping[str, Any],
        schema: Mapping[str, Any],
        path: tuple[str | int, ...],
        depth: int,
    ) -> Iterator[Fault]:
        known = schema.get("properties")
        known = known if isinstance(known, Mapping) else {}
        for name in _list(schema.get("required")):
            if isinstance(name, str) and name not in value:
                yield Fault((*path, name), "is missing")
        others = schema.get("additionalProperties", True)
        if "patternProperties" in schema:
            others = True  # which of them a name is of is not looked at
        for name, each in value.items():
            if name in known:
                yield from self.faults(each, known[name], (*path, name), depth + 1)
            elif others is False:
                yield Fault((*path, name), "is none of the tool's arguments")
            else:
                yield from self.faults(each, others, (*path, name), depth + 1)

    def _of_array(
        self,
        value: Sequence[Any],
        schema: Mapping[str, Any],
        path: tuple[str | int, ...],
        depth: int,
    ) -> Iterator[Fault]:
        first = _list(schema.get("prefixItems"))
        others = schema.get("items", True)
        for place, each in enumerate(value):
            of_place = first[place] if place < len(first) else others
            yield from self.faults(each, of_place, (*path, place), depth + 1)
        if schema.get("uniqueItems") is True:
            places = [place for place, each in enumerate(value) if _among(each, value[:place])]
            self._left -= len(value) ** 2
            if places:
                yield Fault((*path, places[0]), "is there twice")


def _of_value(
    value: Any, schema: Mapping[str, Any], path: tuple[str | int, ...]
) -> Iterator[Fault]:
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else _list(kinds)
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield Fault(
            path, f"must be {' or '.join(_KINDS.get(str(each), str(each)) for each in kinds)}"
        )
        return
    if isinstance(schema.get("enum"), list) and not _among(value, schema["enum"]):
        yield Fault(path, f"must be one of {_shown(schema['enum'])}")
    if "const" in schema and not _among(value, [schema["const"]]):
        yield Fault(path, f"must be {_shown(schema['const'])}")
    for said, size, unit in (
        ("Length", len(value) if isinstance(value, str) else None, "characters"),
        ("Items", len(value) if isinstance(value, list) else None, "items"),
        ("Properties", len(value) if isinstance(value, Mapping) else None, "properties"),
    ):
        if size is None:
            continue
        if (least := _number(schema.get(f"min{said}"))) is not None and size < least:
            yield Fault(path, f"has fewer than {least:g} {unit}")
        if (most := _number(schema.get(f"max{said}"))) is not None and size > most:
            yield Fault(path, f"has more than {most:g} {unit}")
    if isinstance(value, str) and not _matches(value, schema.get("pattern")):
        yield Fault(path, f"must match {_shown(schema['pattern'])}")
    if (number := _number(value)) is not None:
        yield from _of_number(number, schema, path)


def _of_number(
    value: float, schema: Mapping[str, Any], path: tuple[str | int, ...]
) -> Iterator[Fault]:
    if (least := _number(schema.get("minimum"))) is not None and value < least:
        yield Fault(path, f"is less than {least:g}")
    if (most := _number(schema.get("maximum"))) is not None and value > most:
        yield Fault(path, f"is more than {most:g}")
    if (above := _number(schema.get("exclusiveMinimum"))) is not None and value <= above:
        yield Fault(path, f"must be more than {above:g}")
    if (below := _number(schema.get("exclusiveMaximum"))) is not None and value >= below:
        yield Fault(path, f"must be less than {below:g}")
    step = _number(schema.get("multipleOf"))
    # Of fractions it cannot be told exactly.
    if isinstance(step, int) and step > 0 and isinstance(value, int) and value % step:
        yield Fault(path, f"must be a multiple of {step}")


def _is(value: Any, kind: object) -> bool:
    match kind:
        case "object":
            return isinstance(value, Mapping)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "integer":
            return _number(value) is not None and value == int(value)
        case "number":
            return _number(value) is not None
    return True  # a kind that JSON does not know


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _among(value: Any, others: Sequence[Any]) -> bool:
    """Whether one is the same in JSON: true is not 1 there."""
    return any(_same(value, other) for other in others)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return bool(one == other)


def _matches(value: str, pattern: object) -> bool:
    """Whether a text matches; the engine takes no longer for any pattern than for another."""
    if not isinstance(pattern, str):
        return True
    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern)).validate_python(value)
    except SchemaError:
        return True  # one that this engine does not know
    except ValidationError:
        return False
    return True


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _shown(value: Any) -> str:
    text = (
        str(value)
        if isinstance(value, str)
        else ", ".join(map(repr, value))
        if isinstance(value, list)
        else repr(value)
    )
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]} …"
