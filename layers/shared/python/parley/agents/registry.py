"""Building the agents of the manifest."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from parley.errors import NotFound
from parley.manifest import Offer, locate, manifest
from parley.project_variables import fill_environment

if TYPE_CHECKING:
    from agents import Agent

    from parley.turns.context import TurnContext


@cache
def load(name: str) -> Agent[TurnContext]:
    """Build an agent, once a process. This imports the module that it is in.

    Raises:
        NotFound: No such agent is offered.
        StoreUnavailable: A secret that its code reads cannot be had now.
        Exception: Whatever importing or building it raises.
    """
    target = offer_of(name).target
    fill_environment()
    found = locate(target)
    agent: Agent[TurnContext] = found() if callable(found) else found
    return agent


def make_context(name: str, turn: TurnContext) -> Any:
    """Return what an agent's tools and instructions are given as their context in a turn.

    Returns:
        What the agent's own function makes of the turn, which is the one that the manifest names
        or the function `context` of the agent's module; the turn's own context if it has none.

    Raises:
        NotFound: No such agent is offered.
        Exception: Whatever making it raises.
    """
    offer = offer_of(name)
    if offer.context is not None:
        return locate(offer.context)(turn)
    make = getattr(import_module(offer.target.partition(":")[0]), "context", None)
    return make(turn) if callable(make) else turn


def offer_of(name: str) -> Offer:
    """Return what the manifest says of an agent.

    Raises:
        NotFound: No such agent is offered.
    """
    try:
        return manifest().agents[name]
    except KeyError:
        raise NotFound("agent", name) from None
