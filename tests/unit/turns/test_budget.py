"""What a call counts as when it is over."""

from __future__ import annotations

import pytest

from parley.repository.turns import as_usage
from parley.turns.budget import TurnBudget, TurnSpending
from parley.usage.spent import Spent
from parley.usage.tokens import Tokens

EXPECTED = 5_000


@pytest.mark.parametrize(
    ("sent", "answered", "counts"),
    [
        (100, 20, 120),
        (7_000, 20, 7_020),
        (None, None, EXPECTED),
        (100, None, EXPECTED),
        (None, 20, EXPECTED),
        (7_000, None, 7_000),
        (0, 0, EXPECTED),
    ],
)
def test_of_what_the_server_does_not_tell_what_was_expected_counts(
    sent: int | None, answered: int | None, counts: int
) -> None:
    spending = TurnSpending(TurnBudget())
    spent = Spent.on_call("m", Tokens.told(sent, answered), None)

    spending.settle(as_usage(spent), EXPECTED)

    assert spending.tokens == counts
