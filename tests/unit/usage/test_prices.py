"""What tokens cost: exact money, of published prices and of a deployment's own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from parley.usage.prices import Price, Prices, own_prices
from parley.usage.tokens import Tokens

CALL = Tokens(input=1_000, cached=200, output=100)
MINI = "gpt-5-mini"  # 0.25, 0.025 and 2 dollars for a million


@pytest.mark.parametrize(
    ("server", "model"),
    [
        ("https://api.openai.com/v1", MINI),
        ("https://api.openai.com/v1/", "GPT-5-Mini"),
        ("https://openrouter.ai/api/v1", "openai/gpt-5-mini"),
    ],
)
def test_a_published_price_is_found_by_server_and_model(server: str, model: str) -> None:
    """Then cached input costs a tenth, and the sum is exact."""
    assert Prices(server=server).cost(model, CALL) == 800 * 250 + 200 * 25 + 100 * 2_000


def test_what_has_no_price_costs_nobody_knows_what() -> None:
    """Given a model or a server that nobody lists, or unknown tokens, then None, and never 0."""
    assert Prices().cost("my-own-model", CALL) is None
    assert Prices(server="http://127.0.0.1:8000/v1").cost(MINI, CALL) is None
    assert Prices().cost(MINI, Tokens(input=1_000)) is None
    assert Prices().cost(MINI, Tokens(output=1_000)) is None


def test_a_long_request_costs_more_where_the_model_has_steps() -> None:
    """Given a model that doubles its price at 200,000 tokens, then all of the request pays it."""
    prices = Prices(server="https://api.x.ai/v1")
    short, long = Tokens(input=199_999, output=0), Tokens(input=200_000, output=0)

    assert prices.cost("grok-4.20", short) == 199_999 * 1_250
    assert prices.cost("grok-4.20", long) == 200_000 * 2_500


def test_a_price_goes_by_the_hour_where_the_server_does() -> None:
    """Given DeepSeek's dear hours, from 1 to 4 and from 6 to 10, then the time counts."""
    prices = Prices(server="https://api.deepseek.com")
    costs = [
        prices.cost("deepseek-flash", CALL, datetime(2026, 11, 30, hour, 30, tzinfo=UTC))
        for hour in (0, 2, 5, 7, 12)
    ]

    cheap = 800 * 150 + 200 * 3 + 100 * 600
    assert costs == [cheap, 2 * cheap, cheap, 2 * cheap, cheap]


def test_own_prices_go_first() -> None:
    """Given prices in the settings, then they hold on any server, and cached input may have one."""
    own = own_prices(
        '{"gpt-5-mini": {"input": "0.1", "output": 0.4},'
        ' "mine": {"input": 0.1, "cached_input": "0.01", "cache_write": 0.125, "output": 0}}'
    )
    prices = Prices(own, "http://127.0.0.1:8000/v1")

    assert prices.cost("gpt-5-mini", CALL) == 1_000 * 100 + 100 * 400
    assert prices.cost("mine", CALL) == 800 * 100 + 200 * 10
    assert prices.cost("mine", Tokens(1_000, 200, 300, 0)) == 500 * 100 + 200 * 10 + 300 * 125
    assert prices.cost("mine", Tokens(1_000, 5_000, 300, 0)) == 1_000 * 10


def test_money_is_rounded_once_and_not_below() -> None:
    """Given a price below a nanodollar a token, then a call's sum is what is rounded."""
    price = Price(input=37, output=0)  # 0.000037 dollars for a million

    assert [price.of(Tokens(input=n, output=0)) for n in (1, 13, 14, 1_000)] == [0, 0, 1, 37]
    assert Price(10**12, 10**12).of(Tokens(2**31 - 1, output=2**31 - 1)) == 2 * (2**31 - 1) * 10**9


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "must be JSON"),
        ("[]", "must be a JSON object"),
        ('{"m": 3}', "has for m no object with input and output"),
        ('{"m": {"input": 1}}', "has for m no output"),
        (
            '{"m": {"input": 1, "output": 2, "cached": 1}}',
            "has for m cached, which is none of input",
        ),
        (
            '{"m": {"input": -1, "output": 2}}',
            "has for m as input -1: dollars for a million",
        ),
        ('{"m": {"input": 1, "output": "two"}}', "has for m as output 'two'"),
        ('{"m": {"input": 1, "output": true}}', "has for m as output True"),
        ('{"m": {"input": 1, "output": "NaN"}}', "has for m as output 'NaN'"),
        ('{"m": {"input": 1, "output": 1000001}}', "a number from 0 to 1000000"),
        ('{"m": {"input": 1, "output": "0.0000001"}}', "with at most 6 places"),
    ],
)
def test_own_prices_that_are_none_are_refused_by_name(text: str, fault: str) -> None:
    """Given a setting that says no price, then the message tells for which model and why."""
    with pytest.raises(ValueError, match=fault):
        own_prices(text)
