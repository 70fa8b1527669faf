"""The project's agents, built before the snapshot. Importing this imports the Agents SDK."""

from __future__ import annotations

from parley.agents import registry
from parley.manifest import manifest
from parley.observability import logger
from parley.priming.steps import step
from parley.project_variables import unfetched
from parley.runner.agent_digest import agent_digest
from parley.runner.prepare import prepare


def prime_agents() -> None:
    """Import and build all agents that are offered, unless they read secrets.

    A secret would have to be fetched for that, and would be in the snapshot.
    """
    if secrets := unfetched():
        logger().info("agents are built in a first request, as they read secrets", names=secrets)
        return
    for name in manifest().agents:
        with step(f"the agent {name}"):
            agent = registry.load(name)
            prepare(agent)
            agent_digest(agent)
