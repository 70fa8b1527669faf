"""Asking a model until it answers, as often in every mode.

OpenAI's client asks again only until an answer begins, and so more often for a whole answer than
for a stream. Nothing follows from an answer before it is recorded, so the same may be asked again
wherever it broke off; text that was told is taken back when it is written anew.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from agents import Model
from agents.retry import ModelRetryAdviceRequest

from parley.observability import logger, traced
from parley.runner.model_faults import fault_of_model

T = TypeVar("T")

PAUSE_SECONDS = 0.5
"""The pause before the second try, doubled for each further one, if the server names none."""

LONGEST_PAUSE_SECONDS = 30.0
"""How long a server may have us wait; OpenAI's client takes longer for no answer too."""


async def asked(
    once: Callable[[], Awaitable[T]],
    model: Model,
    failed: Callable[[Exception], None],
    *,
    again: bool,
) -> T:
    """Ask a model, again if what went wrong may pass.

    Args:
        once: Asks it.
        model: Knows what its server says of asking again.
        failed: Is told of each failure.
        again: Whether to; an agent that has settings of its own for it is asked by the runner.

    Raises:
        Exception: What the last try failed with.
    """
    tries = 0
    while True:
        try:
            return await once()
        except Exception as error:
            failed(error)
            tries += 1
            pause = _pause(error, model, tries) if again else None
            if pause is None:
                raise
            logger().warning("the model is asked again", tries=tries, **traced(error))
        await asyncio.sleep(pause)


def _pause(error: Exception, model: Model, tries: int) -> float | None:
    fault = fault_of_model(error)
    if fault is None or tries >= fault.tries:
        return None
    advice = model.get_retry_advice(
        ModelRetryAdviceRequest(error=error, attempt=tries, stream=False)
    )
    if advice is not None and advice.suggested is False:
        return None
    named = advice.retry_after if advice is not None else None
    if named is not None and named <= LONGEST_PAUSE_SECONDS:
        return named
    return PAUSE_SECONDS * 2.0 ** (tries - 1) * random.uniform(0.75, 1)
