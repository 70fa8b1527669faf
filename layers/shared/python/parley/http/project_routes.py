"""The routes of a project's own, which `[tool.parley] routes` names.

`parley check` has seen before that they leave Parley's own alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from aws_lambda_powertools.event_handler.api_gateway import Router

from parley.http.declared import declared
from parley.http.paths import methods_among
from parley.manifest import locate
from parley.project_variables import fill_environment

ROUTER = "router"
"""The name of a module's router where none is named."""


def target_of(named: str) -> str:
    """Return where a router is, as `package.module:object`, of what `routes` names."""
    return named if ":" in named else f"{named}:{ROUTER}"


class ProjectRoutes:
    """The routers of a project, whose modules are imported when they are first asked for."""

    def __init__(self, named: Sequence[str] = ()) -> None:
        """Take what `[tool.parley] routes` names; nothing is imported yet."""
        self._named = named

    @cached_property
    def routers(self) -> tuple[Router, ...]:
        """The routers; what fails is tried again when they are next asked for.

        Raises:
            StoreUnavailable: A secret that the project's code reads cannot be had now.
            Exception: Whatever importing the modules raises.
        """
        if not self._named:
            return ()
        fill_environment()
        return tuple(locate(target_of(each)) for each in self._named)

    def methods_of(self, path: str) -> list[str]:
        """Return the methods that a path has among these routes; none if it has none."""
        known: dict[str, list[str]] = {}
        for router in self.routers:
            for route in declared(router):
                known.setdefault(route.path, []).extend(route.methods)
        return methods_among(known, path)
