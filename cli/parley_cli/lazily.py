"""Commands whose module is imported when they are called, and not when they are listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import typer
from typer.main import get_command


@dataclass(frozen=True, slots=True)
class Offered:
    """A command, or a group of them.

    Attributes:
        module: Where it is, below `parley_cli`.
        name: The function, or the `Typer` of a group, in it.
        summary: What it does, for the list of commands.
        passes_on: Whether arguments that it does not know are for a program that it runs.
    """

    module: str
    name: str
    summary: str
    passes_on: bool = False

    def load(self, name: str) -> Any:
        """Import the command and return it, under the name that it is called by."""
        found = getattr(import_module(f"parley_cli.{self.module}"), self.name)
        return made_of(found, name, passes_on=self.passes_on)


def made_of(found: Any, name: str, *, passes_on: bool = False) -> Any:
    """Return the command of this name that a function, or a `Typer`, makes."""
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        more = {"allow_extra_args": True, "ignore_unknown_options": True}
        alone.command(name, context_settings=more if passes_on else None)(found)
        found = alone
    command = get_command(found)
    command.name = name
    return command


class Loadable(Protocol):
    """A command that can be listed before it is imported."""

    @property
    def summary(self) -> str:
        """What it does, for the list of commands."""

    def load(self, name: str) -> Any:
        """Import the command and return it, under the name that it is called by."""


class Commands(dict[str, Any]):
    """Commands by name, each imported when it is looked up; the keys are known before."""

    def __init__(self, offered: Mapping[str, Loadable]) -> None:
        """Take what there is; nothing is imported."""
        super().__init__(dict.fromkeys(offered))
        self.offered = offered

    def __getitem__(self, name: str) -> Any:
        if super().__getitem__(name) is None:
            self[name] = self.offered[name].load(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the command of this name."""
        if name not in self:
            return default
        return self[name]

    def summaries(self) -> Iterator[tuple[str, str]]:
        """Return each name with what the command does."""
        return ((name, offered.summary) for name, offered in self.offered.items())
