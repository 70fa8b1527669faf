"""Who is asked for an agent's summaries.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from dataclasses import dataclass

from parley.agents.provider import Providers
from parley.agents.registry import load, offer_of
from parley.runner.summaries import SummaryModel, plain_settings


@dataclass(frozen=True, slots=True)
class SummaryModels:
    """Gives the model that summarises, by the agent.

    Attributes:
        providers: The agents' providers.
        deployments: The name of the deployment's model for summaries, if it has one.
    """

    providers: Providers
    deployments: str | None

    def of(self, agent: str) -> SummaryModel:
        """Return who is asked for an agent's summaries: its own model, where none is named.

        The deployment's name is one of the deployment's server, so an agent with a server of its
        own goes by its own.

        Raises:
            NotFound: No such agent is offered.
            Exception: Whatever building the agent raises.
        """
        offer, provider = offer_of(agent), self.providers.of(agent)
        prices = self.providers.prices(agent)
        named = offer.memory_summary_model
        if named is None and offer.base_url is None:
            named = self.deployments
        if named is not None:
            return SummaryModel(provider.get_model(named), plain_settings(None), prices)
        built = load(agent)
        # One that brings a model object is refused before it has a turn.
        named = built.model if isinstance(built.model, str) else None
        return SummaryModel(provider.get_model(named), plain_settings(built.model_settings), prices)
