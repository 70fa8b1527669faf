"""Importing a project's code and building its agents, to find what is wrong before a turn does.

Run as `python -m parley_project.agents SHOWN FILE COMMANDS` in a process of its own, which has the
project's manifest on its path: a module may do anything when it is imported, and the Agents SDK
takes its time. So its routes, rules and commands are looked at here too.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

from parley import starting
from parley.manifest import Offer, manifest
from parley_project.commands import command_at
from parley_project.importing import RAISED, Unusable, find, why
from parley_project.offline_rules import rule_at

if TYPE_CHECKING:
    from agents import Agent
    from agents.mcp import MCPServer


def main(shown: str, report: str, commands: str) -> int:
    """Build every agent that is offered, and write what is wrong with each.

    Args:
        shown: The project's file, as sentences name it.
        report: The file that is written.
        commands: Those that the project adds to `parley`, each target by its name, as JSON.
    """
    starting.begin()  # and it ends before any garbage would matter
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with Path(report).open("w", encoding="utf-8") as lines:
        look(lines, shown, json.loads(commands))
    return 0


def look(lines: TextIO, shown: str, commands: Mapping[str, str]) -> None:
    """Write what is wrong, a line of JSON each: see `main`."""
    user_data = manifest().user_data
    if user_data is not None:
        _look_at(lines, shown, "[tool.parley] user_data", _faults_of_user_data(user_data))
    _write_routes(lines, shown)
    for target in manifest().offline:
        _look_at(lines, shown, "[tool.parley] offline", _faults_of_offline(target))
    for name, target in commands.items():
        place = f"[tool.parley.commands.{name}] target"
        _look_at(lines, shown, place, _faults_of_command(target))
    told: dict[tuple[str, str], str] = {}
    for name, offer in manifest().agents.items():
        for key, faults in _faults(name, offer):
            place = f"[tool.parley.agents.{name}] {key}"
            _look_at(lines, shown, place, _each_once(faults, place, told))
        _write_what_is_brought(lines, shown, name, offer)
    _write(lines, running=None)


def _each_once(
    faults: Iterable[tuple[str, str]], place: str, told: dict[tuple[str, str], str]
) -> Iterator[tuple[str, str]]:
    """Yield faults; what a module has for several agents is told whole for the first of them."""
    for fault in faults:
        before = told.setdefault(fault, place)
        yield fault if before == place or not fault[1] else (f"as {before}", "")


def _write_what_is_brought(lines: TextIO, shown: str, name: str, offer: Offer) -> None:
    """Write which MCP servers an agent has, and those that it reaches; nobody is asked.

    Where all of them bring their models, what the manifest says of a model is for none of them.
    """
    from agents import Model

    from parley.agents.registry import load
    from parley.runner.agent_graph import reachable

    try:
        found = list(reachable(load(name)))
    except RAISED:
        return  # which is written already
    for agent in found:
        for server in agent.mcp_servers:
            _write(lines, offered=name, agent=agent.name, server=_named(server))
    if offer.memory_summary_model is None and all(isinstance(each.model, Model) for each in found):
        said = [key for key in ("model", "base_url", "api", "key") if getattr(offer, key)]
        if said:
            place = f"{shown}: [tool.parley.agents.{name}] {', '.join(said)}"
            _write(lines, warning=f"{place}: not used, since the agent brings its model itself")


def _named(server: MCPServer) -> str:
    """Return a server's name and how it is reached, without what of its address may be secret."""
    from agents.mcp import MCPServerStreamableHttp

    if not isinstance(server, MCPServerStreamableHttp):
        return f"{server.name} as a program"
    address = urlsplit(server.params["url"])
    place = f"{address.scheme}://{address.hostname}{address.path}"
    # A server without a name is named after its whole address.
    name = "" if server.params["url"] in server.name else f"{server.name} "
    return f"{name}over streamable HTTP at {place}"


def _look_at(lines: TextIO, shown: str, place: str, faults: Iterable[tuple[str, str]]) -> None:
    # A module can end the process, and then this line is the last.
    _write(lines, running=place)
    for fault, traceback in faults:
        _write(lines, sentence=f"{shown}: {place}: {fault}", traceback=traceback)


def _write(lines: TextIO, **line: str | None) -> None:
    print(json.dumps(line), file=lines, flush=True)


def _write_routes(lines: TextIO, shown: str) -> None:
    """Write what is wrong with the project's routes, or else their paths."""
    names = manifest().routes
    if not names:
        return
    # Most projects have none, and the rest of this needs nothing of it.
    from parley_project.routes import faults_between, found_in

    faults = []
    for named in names:
        _write(lines, running=f"[tool.parley] routes: {named}")
        faults += [(named, *fault) for fault in _faults_of_routes(named)]
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
        find(target_of(named))
        yield from ((fault, "") for fault in faults_of_router(named))
    except RAISED as error:
        yield why(error)
    if "agents" in sys.modules and not had_the_sdk:
        yield "importing it imports the Agents SDK, for which what serves routes would wait", ""


def _faults_of_user_data(target: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with what the project says that it keeps of users."""
    from parley.errors import UserDataFault
    from parley.user_tables import kept_of_users

    try:
        find(target)
        kept_of_users()
    except UserDataFault as fault:
        yield str(fault), ""
    except RAISED as error:
        yield why(error)
    if "agents" in sys.modules:
        yield "importing it imports the Agents SDK, which what erases and exports does not have", ""


def _faults_of_offline(target: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a rule of the project's for the offline model."""
    try:
        rule_at(target)
    except RAISED as error:
        yield why(error)


def _faults_of_command(target: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a command that the project adds."""
    try:
        command_at(target)
    except RAISED as error:
        yield why(error)


def _faults(name: str, offer: Offer) -> Iterator[tuple[str, Iterator[tuple[str, str]]]]:
    """Yield the keys of an agent, each with what is wrong there."""
    yield "target", _faults_of(partial(_look_at_agent, name, offer))
    if offer.context is not None:
        yield "context", _faults_of(partial(_look_at_context, offer.context))


def _faults_of(look: Callable[[], None]) -> Iterator[tuple[str, str]]:
    """Yield the fault, and the traceback if that says more."""
    from parley.runner.agent_graph import UnsupportedAgent

    try:
        look()
    except UnsupportedAgent as fault:
        yield str(fault), ""
    except RAISED as error:
        yield why(error)


def _look_at_agent(name: str, offer: Offer) -> None:
    from parley.agents.registry import load
    from parley.runner.agent_graph import reachable
    from parley.runner.prepare import prepare

    find(offer.target)
    agent = load(name)
    prepare(agent)
    for found in reachable(agent):
        _no_tool_twice(found)


def _look_at_context(target: str) -> None:
    if not callable(find(target)):
        raise Unusable(f"{target} is not a function")


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
            raise Unusable(f"The agent {agent.name} has {count} tools of the name {name}.")


def _end_with(parent: int) -> None:
    """End this process when whoever wants to know is gone, though an agent's module hangs."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
