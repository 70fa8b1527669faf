"""One table of a TOML file, read key by key; every fault is noted and nothing is raised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any


class Faults:
    """The faults of one file, in the order in which they were found."""

    def __init__(self, file: str) -> None:
        """Say whose."""
        self._file = file
        self.sentences: list[str] = []

    def add(self, place: str, fault: str) -> None:
        """Note a fault.

        Args:
            place: The table, and the key in it.
            fault: What is wrong there.
        """
        self.sentences.append(f"{self._file}: {place}: {fault}")


class Table:
    """A table; what is not read from it in the end is a key that does not exist."""

    def __init__(self, values: Mapping[str, Any], name: str, faults: Faults) -> None:
        """Take the values of the table of this name."""
        self._values = values
        self._name = name
        self._faults = faults
        self._known: set[str] = set()

    def fault(self, key: str, fault: str) -> None:
        """Note what is wrong with a key of this table."""
        self._faults.add(f"[{self._name}] {key}", fault)

    def text(self, key: str) -> str | None:
        """Return a text; None if it is not there, or is not one."""
        value = self._value(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self.fault(key, f"must be a text in quotes, not {_kind(value)}")
            return None
        if not value.strip():
            self.fault(key, "must not be empty")
            return None
        return value

    def required_text(self, key: str, example: str) -> str | None:
        """Return a text, which must be there; None if it is not."""
        if key not in self._values:
            self._known.add(key)
            self.fault(key, f"is missing; such as {key} = {example}")
            return None
        return self.text(key)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; none if it is not there, or is not one."""
        value = self._value(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.fault(key, 'must be a list of texts, such as ["one", "two"]')
            return ()
        if not all(each.strip() for each in value) or not value:
            self.fault(key, "must not be empty")
            return ()
        return tuple(value)

    def text_or_texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, of one if it is a text; none if it is not there, or neither."""
        if isinstance(self._values.get(key), list):
            return self.texts(key)
        one = self.text(key)
        return () if one is None else (one,)

    def flag(self, key: str) -> bool | None:
        """Return true or false; None if it is not there, or is neither."""
        value = self._value(key)
        if value is None or isinstance(value, bool):
            return value
        self.fault(key, f"must be true or false, without quotes, not {_kind(value)}")
        return None

    def choice(self, key: str, choices: Sequence[str]) -> str | None:
        """Return one of some texts; None if it is not there, or is none of them."""
        value = self.text(key)
        if value is None or value in choices:
            return value
        self.fault(key, f"must be {' or '.join(choices)}, not {value!r}")
        return None

    def table(self, key: str) -> Table:
        """Return a table in this one; an empty one if it is not there, or is not one."""
        value = self._value(key)
        if value is not None and not isinstance(value, dict):
            self.fault(key, f"must be a table, not {_kind(value)}")
            value = None
        return Table(value or {}, f"{self._name}.{_quoted(key)}", self._faults)

    def tables(self, example: str) -> Iterator[tuple[str, Table]]:
        """Yield each table in this one, by its name; every key must be one."""
        for key, value in self._values.items():
            if isinstance(value, dict):
                yield key, self.table(key)
            else:
                self._known.add(key)
                self.fault(key, f"must be a table, such as {_quoted(key)} = {example}")

    def end(self) -> None:
        """Note the keys that nobody has read: they are misspelt, or do not exist."""
        for key in self._values:
            if key in self._known:
                continue
            near = get_close_matches(key, self._known, 1)
            meant = f"did you mean {near[0]}?" if near else f"known are {_listed(self._known)}"
            self.fault(key, f"is not a key of this table; {meant}")

    def _value(self, key: str) -> Any:
        self._known.add(key)
        return self._values.get(key)


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "a table"
    return f"a {type(value).__name__}"


def _quoted(key: str) -> str:
    """Return a key as TOML writes it."""
    return key if key and key.replace("-", "").replace("_", "").isalnum() else f'"{key}"'


def _listed(keys: set[str]) -> str:
    return ", ".join(sorted(keys))
