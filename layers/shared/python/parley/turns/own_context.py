"""An agent's own context: one object a turn, for all its agents, tools and instructions.

It lives for the turn, in whichever process carries it on. A tool that is replayed is not called
again, so what its call had changed in the context is recorded with its output and put back with it;
what anything else had changed, such as a handoff's callback, is recorded with the model's next
answer. Fields whose types cannot be told as JSON, such as a client, stay as the factory made them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_core import from_json

from parley.text import storable_json

State = Mapping[str, Any]
"""Fields of a context as JSON, by name."""


class OwnContext:
    """Keeps the fields of an agent's own context: a Pydantic model or a dataclass.

    A context of another class, and one that is frozen, is the same in every attempt as far as its
    factory makes it so; nothing of it is kept.
    """

    def __init__(self, value: Any) -> None:
        """Look at a context as its factory made it."""
        self._value = value
        self._fields = _kept_fields(value)

    def state(self) -> State:
        """Return the fields as they are now."""
        found = {}
        for name, adapter in self._fields.items():
            try:
                found[name] = from_json(adapter.dump_json(getattr(self._value, name)))
            except ValueError:  # it is none of its type, or too deep to be read again
                continue
        kept: State = storable_json(found)
        return kept

    def changed_since(self, before: State) -> State:
        """Return the fields that are not as they were."""
        return {
            name: value
            for name, value in self.state().items()
            if name not in before or before[name] != value
        }

    def put_back(self, state: State) -> None:
        """Set fields to what they were."""
        for name, value in state.items():
            if (adapter := self._fields.get(name)) is not None:
                with suppress(ValidationError):  # a deployment has given it another type
                    setattr(self._value, name, adapter.validate_python(value))


def _kept_fields(value: Any) -> dict[str, TypeAdapter[Any]]:
    kind = type(value)
    if isinstance(value, BaseModel):
        if value.model_config.get("frozen"):
            return {}
        hints = {name: field.annotation for name, field in kind.model_fields.items()}
    elif is_dataclass(value):
        if kind.__dataclass_params__.frozen:
            return {}
        try:
            known = get_type_hints(kind)
        except NameError:  # imported for type checkers only
            return {}
        hints = {each.name: known[each.name] for each in fields(value)}
    else:
        return {}
    kept = {}
    for name, hint in hints.items():
        try:
            kept[name] = TypeAdapter(hint)
        except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
            continue  # it holds something of the process
    return kept
