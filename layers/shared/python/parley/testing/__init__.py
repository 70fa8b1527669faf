"""Tests of agents: turns run in the process, and are killed on purpose. Never deployed.

The fixture `parley` of the pytest plugin gives a `Workbench`. Names are imported when they are
asked for: the plugin is loaded by every pytest of its environment.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parley.testing.asking import Answer
    from parley.testing.database import Rows, TestDatabase
    from parley.testing.ledger import Ledger
    from parley.testing.processes import ForkMissing
    from parley.testing.report import Finding, NotSurvived, Report
    from parley.testing.result import CallDecided, Result
    from parley.testing.script import Asked, Calls, Fails, Says, Script, Step, calls, fails, says
    from parley.testing.turn import Turn
    from parley.testing.workbench import Workbench

__all__ = [
    "Answer",
    "Asked",
    "CallDecided",
    "Calls",
    "Fails",
    "Finding",
    "ForkMissing",
    "Ledger",
    "NotSurvived",
    "Report",
    "Result",
    "Rows",
    "Says",
    "Script",
    "Step",
    "TestDatabase",
    "Turn",
    "Workbench",
    "calls",
    "fails",
    "says",
]

_MODULES = {
    "asking": ("Answer",),
    "database": ("Rows", "TestDatabase"),
    "ledger": ("Ledger",),
    "processes": ("ForkMissing",),
    "report": ("Finding", "NotSurvived", "Report"),
    "result": ("CallDecided", "Result"),
    "script": ("Asked", "Calls", "Fails", "Says", "Script", "Step", "calls", "fails", "says"),
    "turn": ("Turn",),
    "workbench": ("Workbench",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
