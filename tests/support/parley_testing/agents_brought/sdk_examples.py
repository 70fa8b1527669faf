"""Agents after the examples of the Agents SDK's repository, defined as theirs are.

Each stands for one of `examples/` there: customer_service/main, agent_patterns/agents_as_tools,
basic/non_strict_output_type, basic/dynamic_system_prompt, agent_patterns/input_guardrails,
agent_patterns/output_guardrails, agent_patterns/human_in_the_loop with its variants
human_in_the_loop_stream and human_in_the_loop_custom_rejection, memory/memory_session_hitl_example,
and the refund of basic/stream_ws in an agent that is used as a tool.
Their input loops are left out, and most of their prose.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

from agents import (
    Agent,
    AgentOutputSchema,
    GuardrailFunctionOutput,
    ModelSettings,
    RunContextWrapper,
    Runner,
    TResponseInputItem,
    function_tool,
    handoff,
    input_guardrail,
    output_guardrail,
)
from agents.decorators import tool
from agents.extensions.handoff_prompt import RECOMMENDED_PROMPT_PREFIX
from pydantic import BaseModel, Field

# Customer service


class AirlineAgentContext(BaseModel):
    passenger_name: str | None = None
    confirmation_number: str | None = None
    seat_number: str | None = None
    flight_number: str | None = None


@function_tool(
    name_override="faq_lookup_tool", description_override="Lookup frequently asked questions."
)
async def faq_lookup_tool(question: str) -> str:
    if "bag" in question:
        return "One bag, of at most 50 pounds."
    return "I'm sorry, I don't know the answer to that question."


@function_tool
async def update_seat(
    context: RunContextWrapper[AirlineAgentContext], confirmation_number: str, new_seat: str
) -> str:
    """
    Update the seat for a given confirmation number.

    Args:
        confirmation_number: The confirmation number for the flight.
        new_seat: The new seat to update to.
    """
    context.context.confirmation_number = confirmation_number
    context.context.seat_number = new_seat
    assert context.context.flight_number is not None, "Flight number is required"
    return f"Updated seat to {new_seat} for confirmation number {confirmation_number}"


async def on_seat_booking_handoff(context: RunContextWrapper[AirlineAgentContext]) -> None:
    context.context.flight_number = f"FLT-{random.randint(100, 999)}"


faq_agent = Agent[AirlineAgentContext](
    name="FAQ Agent",
    handoff_description="A helpful agent that can answer questions about the airline.",
    instructions=f"{RECOMMENDED_PROMPT_PREFIX} You are an FAQ agent.",
    tools=[faq_lookup_tool],
)

seat_booking_agent = Agent[AirlineAgentContext](
    name="Seat Booking Agent",
    handoff_description="A helpful agent that can update a seat on a flight.",
    instructions=f"{RECOMMENDED_PROMPT_PREFIX} You are a seat booking agent.",
    tools=[update_seat],
)

triage_agent = Agent[AirlineAgentContext](
    name="Triage Agent",
    handoff_description="A triage agent that can delegate a customer's request.",
    instructions=f"{RECOMMENDED_PROMPT_PREFIX} You are a helpful triaging agent.",
    handoffs=[
        faq_agent,
        handoff(agent=seat_booking_agent, on_handoff=on_seat_booking_handoff),
    ],
)

faq_agent.handoffs.append(triage_agent)
seat_booking_agent.handoffs.append(triage_agent)


# Agents as tools

spanish_agent = Agent[Any](
    name="spanish_agent",
    instructions="You translate the user's message to Spanish",
    handoff_description="An english to spanish translator",
)

french_agent = Agent[Any](
    name="french_agent",
    instructions="You translate the user's message to French",
    handoff_description="An english to french translator",
)

orchestrator_agent = Agent[Any](
    name="orchestrator_agent",
    instructions="You are a translation agent. You use the tools given to you to translate.",
    tools=[
        spanish_agent.as_tool(
            tool_name="translate_to_spanish",
            tool_description="Translate the user's message to Spanish",
        ),
        french_agent.as_tool(
            tool_name="translate_to_french",
            tool_description="Translate the user's message to French",
        ),
    ],
)


# Structured output, in a form that is not strict


@dataclass
class OutputType:
    jokes: dict[int, str]


joker = Agent[Any](
    name="Assistant",
    instructions="You are a helpful assistant.",
    output_type=AgentOutputSchema(OutputType, strict_json_schema=False),
)


# Dynamic instructions


class CustomContext:
    def __init__(self, style: Literal["haiku", "pirate", "robot"]) -> None:
        self.style = style


def custom_instructions(
    run_context: RunContextWrapper[CustomContext], agent: Agent[CustomContext]
) -> str:
    return f"Only respond as a {run_context.context.style}."


chat_agent = Agent[CustomContext](name="Chat agent", instructions=custom_instructions)


# A guardrail on the input that asks an agent


class MathHomeworkOutput(BaseModel):
    reasoning: str
    is_math_homework: bool


guardrail_agent = Agent[Any](
    name="Guardrail check",
    instructions="Check if the user is asking you to do their math homework.",
    output_type=MathHomeworkOutput,
)


@input_guardrail
async def math_guardrail(
    context: RunContextWrapper[Any], agent: Agent[Any], input: str | list[TResponseInputItem]
) -> GuardrailFunctionOutput:
    result = await Runner.run(guardrail_agent, input, context=context.context)
    final_output = result.final_output_as(MathHomeworkOutput)
    return GuardrailFunctionOutput(
        output_info=final_output, tripwire_triggered=final_output.is_math_homework
    )


support_agent = Agent[Any](
    name="Customer support agent",
    instructions="You are a customer support agent.",
    input_guardrails=[math_guardrail],
)


# A guardrail on the output


class MessageOutput(BaseModel):
    reasoning: str = Field(description="Thoughts on how to respond to the user's message")
    response: str = Field(description="The response to the user's message")
    user_name: str | None = Field(description="The name of the user who sent it, if known")


@output_guardrail
async def sensitive_data_check(
    context: RunContextWrapper[Any], agent: Agent[Any], output: MessageOutput
) -> GuardrailFunctionOutput:
    found = "650" in output.response or "650" in output.reasoning
    return GuardrailFunctionOutput(output_info={"phone_number": found}, tripwire_triggered=found)


discreet_agent = Agent[Any](
    name="Assistant",
    instructions="You are a helpful assistant.",
    output_type=MessageOutput,
    output_guardrails=[sensitive_data_check],
)


# A person in the loop


@tool
async def get_weather(city: str) -> str:
    """Get the weather for a given city.

    Args:
        city: The city to get weather for.

    Returns:
        Weather information for the city.
    """
    return f"The weather in {city} is sunny"


async def _needs_temperature_approval(_ctx: Any, params: dict[str, Any], _call_id: str) -> bool:
    return "Oakland" in params.get("city", "")


@tool(needs_approval=_needs_temperature_approval)
async def get_temperature(city: str) -> str:
    """Get the temperature for a given city.

    Args:
        city: The city to get temperature for.

    Returns:
        Temperature information for the city.
    """
    return f"The temperature in {city} is 20° Celsius"


weather_agent = Agent[Any](
    name="Weather Assistant",
    instructions=(
        "You are a helpful weather assistant. "
        "Answer questions about weather and temperature using the available tools."
    ),
    tools=[get_weather, get_temperature],
)


@tool(needs_approval=True)
async def publish_announcement(title: str, body: str) -> str:
    """Simulate publishing an announcement to users."""
    return f"Published announcement '{title}' with body: {body}"


announcing_agent = Agent[Any](
    name="Operations Assistant",
    instructions="When a user asks to publish an announcement, call the tool directly.",
    model_settings=ModelSettings(tool_choice="publish_announcement"),
    tools=[publish_announcement],
)


async def _needs_approval(_ctx: Any, _params: Any, _call_id: str) -> bool:
    return True


@tool(needs_approval=_needs_approval, name_override="get_weather")
def get_weather_of_session(location: str) -> str:
    """Get weather for a location.

    Args:
        location: The location to get weather for

    Returns:
        Weather information as a string
    """
    return "Foggy, 58°F" if "san francisco" in location.lower() else "Weather data not available"


remembering_agent = Agent[Any](
    name="HITL Assistant",
    instructions="You help users with information.",
    tools=[get_weather_of_session],
)


@tool(needs_approval=True)
def submit_refund(order_id: str, amount: float, reason: str) -> dict[str, Any]:
    """Create a refund request. This tool requires approval."""
    return {
        "refund_ticket": f"RF-{order_id[-4:]}",
        "order_id": order_id,
        "amount": amount,
        "reason": reason,
        "status": "approved_pending_processing",
    }


refunding_agent = Agent[Any](
    name="Front desk",
    tools=[
        Agent[Any](name="Refunds", tools=[submit_refund]).as_tool(
            tool_name="ask_refunds", tool_description="Ask the desk for refunds."
        )
    ],
)
