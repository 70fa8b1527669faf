"""Guardrails: asked before the model is, and their verdicts recorded.

A guardrail beside the model lets tools run before its verdict is there. And a model that judges
may judge otherwise in the next attempt, over effects that the first has let happen.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from agents import Agent, GuardrailFunctionOutput, InputGuardrail, OutputGuardrail

from parley.runner.agent_graph import UnsupportedAgent, reachable
from parley.runner.verdicts import judged_once
from parley.text import jsonable
from parley.turns.attempt import current_attempt


def record_verdicts(agent: Agent[Any]) -> None:
    """Prepare the guardrails of an agent, and of all that it can reach, in place."""
    for found in reachable(agent):
        for guardrail in found.input_guardrails:
            guardrail.run_in_parallel = False
            _record(guardrail)
        for output_guardrail in found.output_guardrails:
            _record(output_guardrail)


def _record(guardrail: InputGuardrail[Any] | OutputGuardrail[Any]) -> None:
    judge = guardrail.guardrail_function
    if getattr(judge, "records", False):
        return
    name = guardrail.get_name()

    @functools.wraps(judge)
    async def recorded(*arguments: Any) -> GuardrailFunctionOutput:
        attempt = current_attempt()
        if attempt is None:
            outside: GuardrailFunctionOutput = await _asked(judge, *arguments)
            return outside

        async def verdict() -> dict[str, Any]:
            given = await _asked(judge, *arguments)
            if not isinstance(given, GuardrailFunctionOutput):
                raise UnsupportedAgent(
                    f"The guardrail {name} returned {type(given).__name__}, which is no"
                    " GuardrailFunctionOutput."
                )
            return {
                "output_info": jsonable(given.output_info),
                "tripwire_triggered": given.tripwire_triggered,
            }

        return GuardrailFunctionOutput(**await judged_once(attempt, name, verdict))

    recorded.records = True  # type: ignore[attr-defined]
    guardrail.name = name
    guardrail.guardrail_function = recorded


async def _asked(judge: Any, *arguments: Any) -> Any:
    given = judge(*arguments)
    return await given if inspect.isawaitable(given) else given
