"""Building a project's agents, to find what is wrong with them before a turn does.

Run as `python -m parley_project.agents SHOWN FILE` in a process of its own, which has the
project's manifest on its path: an agent's module may do anything when it is imported, and the
Agents SDK takes its time. Lines of JSON are written to FILE; SHOWN is the project's file, as
sentences name it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from parley.errors import ParleyError
from parley.manifest import Offer, manifest

if TYPE_CHECKING:
    from agents import Agent


class _Fault(ParleyError):
    """What is wrong is known; the message says it."""


def main(shown: str, report: str) -> int:
    """Build every agent that is offered, and write what is wrong with each."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with Path(report).open("w", encoding="utf-8") as lines:
        for fault, traceback in _faults_of_user_data():
            place = f"{shown}: [tool.parley] user_data"
            _write(lines, sentence=f"{place}: {fault}", traceback=traceback)
        _write_routes(lines, shown)
        for fault, traceback in _faults_of_offline():
            place = f"{shown}: [tool.parley] offline"
            _write(lines, sentence=f"{place}: {fault}", traceback=traceback)
        for name, offer in manifest().agents.items():
            # A module can end the process, and then this line is the last.
            _write(lines, running=f"[tool.parley.agents.{name}] target")
            for key, fault, traceback in _faults(name, offer):
                place = f"{shown}: [tool.parley.agents.{name}] {key}"
                _write(lines, sentence=f"{place}: {fault}", traceback=traceback)
        _write(lines, running=None)
    return 0


def _write(lines: TextIO, **line: str | None) -> None:
    print(json.dumps(line), file=lines, flush=True)


def _write_routes(lines: TextIO, shown: str) -> None:
    """Write what is wrong with the project's routes, or else their paths."""
    names = manifest().routes
    if not names:
        return
    # Most projects have none, and the rest of this needs nothing of it.
    from parley_project.routes import faults_between, found_in

    _write(lines, running="[tool.parley] routes")
    faults = [(named, *fault) for named in names for fault in _faults_of_routes(named)]
    if not faults:
        found = found_in(names)
        faults = [(named, fault, "") for named, fault in faults_between(found)]
        for path in sorted({each.route.path for each in found}):
            _write(lines, path=path)
    for named, fault, traceback in faults:
        place = f"{shown}: [tool.parley] routes: {named}"
        _write(lines, sentence=f"{place}: {fault}", traceback=traceback)


def _faults_of_routes(named: str) -> Iterator[tuple[str, str]]:
    from parley.http.project_routes import target_of
    from parley.project_variables import fill_environment
    from parley_project.routes import faults_of_router

    had_the_sdk = "agents" in sys.modules
    try:
        fill_environment()
        _find(target_of(named))
        yield from ((fault, "") for fault in faults_of_router(named))
    except _Fault as fault:
        yield str(fault), ""
    except Exception as error:
        yield _why(error)
    if "agents" in sys.modules and not had_the_sdk:
        yield "importing it imports the Agents SDK, for which what serves routes would wait", ""


def _faults_of_user_data() -> Iterator[tuple[str, str]]:
    """Yield what is wrong with what the project says that it keeps of users."""
    from parley.errors import UserDataFault
    from parley.user_tables import kept_of_users

    target = manifest().user_data
    if target is None:
        return
    try:
        _find(target)
        kept_of_users()
    except (_Fault, UserDataFault) as error:
        yield str(error), ""
    except Exception as error:
        yield _why(error)
    if "agents" in sys.modules:
        yield "importing it imports the Agents SDK, which what erases and exports does not have", ""


def _faults_of_offline() -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the project's rules for the offline model."""
    for target in manifest().offline:
        try:
            if not callable(_find(target)):
                yield f"{target} is not a function", ""
        except _Fault as fault:
            yield str(fault), ""
        except Exception as error:
            yield _why(error)


def _why(error: Exception) -> tuple[str, str]:
    """Return where the project's code raised and what, and the traceback if that says more."""
    from parley.faults import traced

    below = error.__traceback__
    while below is not None and below.tb_frame.f_code.co_filename == __file__:
        below = below.tb_next  # of these, nobody has to know
    facts = traced(error.with_traceback(below), quoting=True)
    at = [str(facts["at"])] if "at" in facts else []
    why = ": ".join([*at, type(error).__name__, str(facts["reason"]).splitlines()[0]])
    return why, str(facts.get("traceback", ""))


def _faults(name: str, offer: Offer) -> Iterator[tuple[str, str, str]]:
    """Yield the key of each fault, the fault, and the traceback if that says more."""
    from parley.runner.agent_graph import UnsupportedAgent

    for key, look in (("target", _look_at_agent), ("context", _look_at_context)):
        try:
            look(name, offer)
        except (_Fault, UnsupportedAgent) as error:
            yield key, str(error), ""
        except Exception as error:
            yield key, *_why(error)


def _look_at_agent(name: str, offer: Offer) -> None:
    from parley.agents.registry import load
    from parley.runner.agent_graph import reachable
    from parley.runner.prepare import prepare

    _find(offer.target)
    agent = load(name)
    prepare(agent)
    for found in reachable(agent):
        _no_tool_twice(found)


def _look_at_context(_: str, offer: Offer) -> None:
    if offer.context is not None and not callable(_find(offer.context)):
        raise _Fault(f"{offer.context} is not a function")


def _find(target: str) -> Any:
    """Return what a target names.

    Raises:
        _Fault: There is no such module, or nothing of that name in it.
        Exception: Whatever importing the module raises.
    """
    module, _, path = target.partition(":")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise _Fault(f"there is no module {error.name}") from None
    where = module
    for name in path.split("."):
        if not hasattr(found, name):
            near = get_close_matches(name, [each for each in dir(found) if each[0] != "_"], 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise _Fault(f"{where} has no {name}{meant}")
        found, where = getattr(found, name), f"{where}.{name}"
    return found


def _no_tool_twice(agent: Agent[Any]) -> None:
    from agents import Agent, Handoff

    names = [tool.name for tool in agent.tools if getattr(tool, "is_enabled", True) is True]
    for handoff in agent.handoffs:
        if isinstance(handoff, Agent):
            names.append(Handoff.default_tool_name(handoff))
        elif handoff.is_enabled is True:
            names.append(handoff.tool_name)
    for name, count in Counter(names).items():
        if count > 1:
            raise _Fault(f"The agent {agent.name} has {count} tools of the name {name}.")


def _end_with(parent: int) -> None:
    """End this process when whoever wants to know is gone, though an agent's module hangs."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
