"""Who is asked for an agent's summaries.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agents import Model

from parley.agents.provider import Providers
from parley.agents.registry import load, offer_of
from parley.runner.brought_models import itself, name_of
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
        own, or with a model that it brings as an object, goes by its own.

        Raises:
            NotFound: No such agent is offered.
            Exception: Whatever building the agent raises.
        """
        offer, provider = offer_of(agent), self.providers.of(agent)
        prices = self.providers.prices(agent)
        named = offer.memory_summary_model
        if named is not None:
            return SummaryModel(provider.get_model(named), plain_settings(None), prices)
        built = load(agent)
        own = plain_settings(built.model_settings)
        if isinstance(built.model, Model):
            brought = itself(built.model)
            asked = self.providers.brought(brought)
            prices = replace(prices, server=asked.server)
            return SummaryModel(asked.model, own, prices, name_of(brought))
        if offer.base_url is None and self.deployments is not None:
            model = provider.get_model(self.deployments)
            return SummaryModel(model, plain_settings(None), prices)
        return SummaryModel(provider.get_model(built.model), own, prices)
