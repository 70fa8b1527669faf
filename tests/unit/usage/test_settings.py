"""Prices of a deployment's own, from its settings to what an agent's calls cost."""

from __future__ import annotations

import pytest

from parley.agents import provider
from parley.agents.provider import Providers
from parley.config import Settings, load_settings
from parley.manifest import Offer
from parley.usage.tokens import Tokens

CALL = Tokens(input=1_000, output=100)


def test_prices_that_cannot_be_read_end_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a model without a price for what comes back, then the message names it."""
    monkeypatch.setenv("MODEL_PRICES", '{"mine": {"input": "0.1"}}')

    with pytest.raises(ValueError, match="MODEL_PRICES has for mine no output"):
        load_settings()


@pytest.mark.parametrize(
    ("model", "base_url", "cost"),
    [
        ("gpt-5", None, 1_000 * 1_250 + 100 * 10_000),
        ("mine", None, 1_000 * 100 + 100 * 400),
        ("offline", None, 0),
        ("gpt-5", "http://127.0.0.1:8000/v1", None),
        ("mine", "http://127.0.0.1:8000/v1", 1_000 * 100 + 100 * 400),
        ("openai/gpt-5", "https://openrouter.ai/api/v1", 1_000 * 1_250 + 100 * 10_000),
    ],
)
def test_an_agent_pays_its_own_servers_prices(
    monkeypatch: pytest.MonkeyPatch, model: str, base_url: str | None, cost: int | None
) -> None:
    """Given a server of the agent's own, then OpenAI's prices are not its prices."""
    monkeypatch.setattr(provider, "offer_of", lambda _: Offer("", "", base_url=base_url))
    settings = Settings(
        offline_model=True, model_prices='{"mine": {"input": "0.1", "output": "0.4"}}'
    )

    assert Providers(settings).prices("todo").cost(model, CALL) == cost
