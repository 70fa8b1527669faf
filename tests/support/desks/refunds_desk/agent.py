"""An agent whose tools ask: the user, who may change the arguments; the user; administrators."""

from __future__ import annotations

from agents import Agent, function_tool

from parley import Effect, TurnContext, approval, effect_tool


@effect_tool(needs_approval=approval(editable=True))
def refund(effect: Effect, order: str, cents: int) -> str:
    """Refund an order."""
    return f"refunded {cents} of {order}"


@effect_tool(needs_approval=approval())
def close(effect: Effect, order: str) -> str:
    """Close an order."""
    return f"closed {order}"


@effect_tool(needs_approval=approval(by="admin"))
def pay(effect: Effect, order: str) -> str:
    """Pay for an order."""
    return f"paid {order}"


@effect_tool(needs_approval=approval(by="admin", editable=True))
def charge(effect: Effect, account: int, note: str) -> str:
    """Charge an account."""
    return f"charged {account}: {note}"


@function_tool
def look_up(order: str) -> str:
    """Look an order up."""
    return f"{order} is open"


def build() -> Agent[TurnContext]:
    """Return the agent."""
    return Agent(
        name="refunds",
        instructions="You see to orders.",
        tools=[refund, close, pay, charge, look_up],
    )
