"""What the deployment is."""

from __future__ import annotations

from parley_client.call import Call, shown_as
from parley_client.models import AgentList, Health


def list_agents() -> Call[AgentList]:
    """List the agents that are offered; one of them is the default."""
    return Call("GET", "/agents", shown_as(AgentList))


def check_health() -> Call[Health]:
    """Ask whether the API's functions run; no store is touched."""
    return Call("GET", "/health", shown_as(Health))
