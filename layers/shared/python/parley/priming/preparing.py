"""What is done for every function that is primed, before it answers requests of nobody's."""

from __future__ import annotations

from collections.abc import Callable

from parley.config import Settings
from parley.priming.network import import_connecting
from parley.priming.secrets import prime_secrets
from parley.priming.steps import step


def prepare(settings: Settings, prepare_routes: Callable[[], None], *, agents: bool) -> None:
    """Import what connects, make what fetches secrets, and build what routes validate with.

    Args:
        settings: The function's.
        prepare_routes: Imports and builds its routes.
        agents: Whether this process runs agents.
    """
    with step("connecting"):
        import_connecting(agents=agents)
    with step("secrets"):
        prime_secrets(settings)
    with step("routes"):
        prepare_routes()
