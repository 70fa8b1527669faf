"""The tool that refunds: small amounts at once, larger ones when an administrator approves."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from parley import Effect, approval, effect_tool
from parley.errors import InvalidField

LIMIT_CENTS = 50_00
"""Up to here nobody is asked."""


def is_large(_context: Any, arguments: dict[str, Any], _call_id: str) -> bool:
    """Tell whether somebody has to approve a refund, by the arguments that the model wrote."""
    return int(arguments["cents"]) > LIMIT_CENTS


@effect_tool(needs_approval=approval(by="admin", when=is_large, editable=True))
def refund(effect: Effect, order_number: str, cents: int, reason: str) -> str:
    """Refund an order, or a part of it. A large amount is refunded when somebody has approved it.

    Args:
        order_number: The order's number, as the user gives it.
        cents: The amount in cents.
        reason: Why, in a sentence.
    """
    if cents <= 0:
        raise InvalidField("cents", "must be more than 0")
    # Committed together with the tool's recorded answer: it is refunded once, whatever dies.
    effect.db.execute(
        text(
            "INSERT INTO support_desk_refunds (user_id, order_number, cents, reason)"
            " VALUES (:user_id, :order_number, :cents, :reason)"
        ),
        {
            "user_id": effect.user_id,
            "order_number": order_number,
            "cents": cents,
            "reason": reason,
        },
    )
    return f"{cents / 100:.2f} of order {order_number} were refunded."
