"""Running the agent: from what is remembered to a reply and what is to be remembered.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agents import (
    Agent,
    AgentsException,
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    ModelProvider,
    ModelRefusalError,
    OutputGuardrailTripwireTriggered,
    RunConfig,
    RunErrorHandlerInput,
    RunErrorHandlerResult,
    Runner,
    ToolApprovalItem,
    ToolInputGuardrailTripwireTriggered,
    ToolOutputGuardrailTripwireTriggered,
    UserError,
)

from parley.errors import ParleyError, StandInFault, StoreUnavailable
from parley.memory.shape import lasting, user_message
from parley.memory.store import Item, TurnMemory
from parley.repository.paging import PAGE_BYTES, written_bytes
from parley.runner.agent_graph import UnsupportedAgent
from parley.runner.approvals import NotCarriedOn, Paused, decided
from parley.runner.brought_models import AskedModel, Asking, recording
from parley.runner.mcp_servers.failures import McpServerFailed
from parley.runner.model_faults import fault_of, fault_of_model
from parley.runner.nested_runs import keeping_runs
from parley.runner.recording_model import RecordingProvider
from parley.runner.told import as_text
from parley.runner.tool_errors import raised_by, tell_error
from parley.text import storable
from parley.turns.attempt import Attempt, running
from parley.turns.budget import BudgetExceeded, UnknownPrice
from parley.turns.context import TurnContext
from parley.usage.prices import Prices

MAX_MODEL_CALLS = 30
"""How often one run may ask the model; an agent that has not answered by then goes in circles."""


class RunFailed(ParleyError):
    """The agent could not answer.

    Attributes:
        code: A word for programs: `model_failed`, `model_refused`, `content_filtered`,
            `context_overflow`, `agent_failed`, `guardrail_tripped`, `too_many_steps`,
            `budget_exceeded`, `reply_too_long`, `agent_changed`, `agent_not_supported`,
            `approval_not_carried_on`, `approval_too_large`, `mcp_failed`.
        detail: A sentence for people.
        quoting: Whether the log may have the cause's message: nobody had said anything yet.
    """

    def __init__(self, code: str, detail: str, *, quoting: bool = False) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.quoting = quoting


class ContextOverflow(RunFailed):
    """What the model was shown is more than it takes."""

    def __init__(self, detail: str) -> None:
        super().__init__("context_overflow", detail)


class AlreadyNoted(RunFailed):
    """An earlier attempt was failing the turn, and had left its note in memory."""

    def __init__(self, note: str) -> None:
        super().__init__("turn_stopped", note)


@dataclass(frozen=True, slots=True)
class AgentRunner:
    """Runs agents.

    Attributes:
        provider_of: Gives the provider of an agent's models, by the name that it is offered under.
        prices_of: Gives what those models cost.
        asking: Tells who is asked in the place of a model that an agent brings as an object.
    """

    provider_of: Callable[[str], ModelProvider]
    prices_of: Callable[[str], Prices] = lambda _: Prices()
    asking: Asking = AskedModel

    async def run(
        self, agent: Agent[TurnContext], attempt: Attempt, remembered: Sequence[Item]
    ) -> TurnMemory:
        """Answer the attempt's user message.

        Args:
            agent: Who answers.
            attempt: On whose behalf; what it has recorded is not asked again.
            remembered: The items of earlier turns, oldest first.

        Returns:
            The reply and the turn's items, in the form that lasts.

        Raises:
            RunFailed: The model, a tool or a guardrail ended the run.
            Paused: Somebody has to decide before it can go on.
            Fenced: The attempt was replaced meanwhile.
            StoreUnavailable: A store cannot serve now.
        """
        said = user_message(attempt.turn.text)
        try:
            provider = self.provider_of(attempt.turn.agent)
            attempt.prices = self.prices_of(attempt.turn.agent)
            recorder = RecordingProvider(provider, attempt, self.asking)
            config = RunConfig(
                model_provider=recorder,
                tracing_disabled=True,
                tool_not_found_behavior="return_error_to_model",
                tool_error_formatter=tell_error,
            )
            with running(attempt), recording(recorder):
                async with keeping_runs(attempt, config, recorder):
                    goes_on: Any = [*remembered, said]
                    while True:
                        result = await Runner.run(
                            agent,
                            goes_on,
                            context=attempt.own,
                            max_turns=MAX_MODEL_CALLS,
                            error_handlers={"model_refusal": _said_instead},
                            run_config=config,
                        )
                        attempt.lease.check()
                        if not result.interruptions:
                            break
                        goes_on = decided(result, attempt)
        except StoreUnavailable:
            raise  # the model's key could not be fetched
        except Paused:
            raise
        except Exception as error:
            attempt.lease.check()
            if isinstance(changed := attempt.refused or error, NotCarriedOn):
                raise RunFailed(changed.code, str(changed)) from error
            if attempt.journal.agent_changed:
                raise RunFailed(
                    "agent_changed", "The agent was changed by a deployment while it answered."
                ) from error
            raise _failure(error, attempt.model_error) from error
        attempt.lease.check()
        reply = as_text(result.final_output)
        if written_bytes(reply) > PAGE_BYTES:  # as a tool's output may be that is the answer
            detail = f"The agent's answer is longer than {PAGE_BYTES} bytes, as JSON."
            raise RunFailed("reply_too_long", detail)
        made = lasting(
            item.to_input_item()
            for item in result.new_items
            if not isinstance(item, ToolApprovalItem)
        )
        return TurnMemory(
            [said, *made],
            reply,
            attempt.journal.usage.counts(),
            len(attempt.journal.outputs),
            [*attempt.journal.usage.steps],
            [each.to_json() for each in attempt.journal.usage.spent],
            attempt.journal.decided,
        )


def _said_instead(refused: RunErrorHandlerInput[Any]) -> RunErrorHandlerResult | None:
    """Let a refusal's words be the reply, unless the agent promises one of a certain form."""
    last = refused.run_data.last_agent
    if not isinstance(refused.error, ModelRefusalError) or last.output_type not in (None, str):
        return None
    return RunErrorHandlerResult(refused.error.refusal, include_in_history=False)


def _failure(error: Exception, model_error: Exception | None) -> RunFailed:
    cause = error.__cause__ if isinstance(error, AgentsException) else None
    of_model = next((each for each in (cause, error) if each and each is model_error), None)
    if (fault := fault_of(cause) or fault_of(error) or fault_of_model(of_model)) is not None:
        if fault.code == "context_overflow":
            return ContextOverflow(fault.detail)
        return RunFailed(fault.code, fault.detail)
    ours = UnsupportedAgent | BudgetExceeded | UnknownPrice | StandInFault
    match cause if isinstance(cause, ours) else error:
        case ModelRefusalError(refusal=words):
            return RunFailed("model_refused", f"The model refused: {storable(words)}")
        case InputGuardrailTripwireTriggered() | OutputGuardrailTripwireTriggered() as tripped:
            name = tripped.guardrail_result.guardrail.get_name()
            return RunFailed("guardrail_tripped", f"The guardrail {name} stopped the turn.")
        case ToolInputGuardrailTripwireTriggered() | ToolOutputGuardrailTripwireTriggered() as hit:
            name = hit.guardrail.get_name()
            return RunFailed("guardrail_tripped", f"The guardrail {name} stopped the turn.")
        case BudgetExceeded() as exceeded:
            return RunFailed("budget_exceeded", exceeded.detail)
        case UnknownPrice(model=model):
            return RunFailed(
                "price_unknown",
                f"What turns cost is bounded, and the model {model} has no price: MODEL_PRICES"
                " gives it one.",
            )
        case StandInFault() as wrong:
            return RunFailed("model_failed", str(wrong))
        case UnsupportedAgent() as unsupported:
            return RunFailed("agent_not_supported", str(unsupported), quoting=True)
        case McpServerFailed() as server:
            return RunFailed("mcp_failed", storable(str(server)))
        case UserError(message=said) if said.startswith("Duplicate tool names"):
            return RunFailed(
                "mcp_failed",
                "Two MCP servers of the agent have a tool of the same name; mcp_config's"
                " include_server_in_tool_names tells them apart.",
            )
        case MaxTurnsExceeded():
            return RunFailed(
                "too_many_steps", f"The agent had not answered after {MAX_MODEL_CALLS} model calls."
            )
        case failed if failed is model_error:  # such as an answer that is not JSON
            return RunFailed("model_failed", f"The model failed: {type(failed).__name__}.")
        case failed:
            return RunFailed("agent_failed", f"The agent failed: {raised_by(failed)}.")
