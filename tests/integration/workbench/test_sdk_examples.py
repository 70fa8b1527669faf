"""Agents of the SDK's own examples run as they are, and survive."""

from __future__ import annotations

import json
from typing import Any, Literal, get_args

import pytest

from parley.testing import Asked, Says, Script, Turn, Workbench, calls, says
from parley.testing.turn import Mode
from parley_testing.agents_brought import sdk_examples as sdk

pytestmark = pytest.mark.usefixtures("killed_at_some")

MODES = get_args(Mode)


def airline(_: object) -> sdk.AirlineAgentContext:
    return sdk.AirlineAgentContext()


def test_customer_service_hands_off_and_keeps_its_context(parley: Workbench) -> None:
    seat = calls("update_seat", confirmation_number="LL0EZ6", new_seat="12A")
    turn = parley.turn(
        sdk.triage_agent,
        "I want another seat",
        model=[calls("transfer_to_seat_booking_agent"), seat, says("You sit in 12A.")],
        context=airline,
    )

    result = parley.run(turn)

    (call,) = [call for call in result.tool_calls if call.name == "update_seat"]
    assert call.output == "Updated seat to 12A for confirmation number LL0EZ6"
    assert result.reply == "You sit in 12A."
    assert "seat booking agent" in (result.asked[1].instructions or "")
    assert result.asked[1].tools == ["update_seat", "transfer_to_triage_agent"]
    parley.survives(turn, may_repeat=["update_seat"])  # it changes the context only


def test_a_handoff_goes_back_and_forth(parley: Workbench) -> None:
    turn = parley.turn(
        sdk.triage_agent,
        "May I bring a bag, and sit elsewhere?",
        model=[
            calls("transfer_to_faq_agent"),
            calls("faq_lookup_tool", question="bag"),
            calls("transfer_to_triage_agent"),
            calls("transfer_to_seat_booking_agent"),
            says("One bag. Which seat?"),
        ],
        context=airline,
        mode="stream",
    )

    assert parley.run(turn).reply == "One bag. Which seat?"
    parley.survives(turn, may_repeat=["faq_lookup_tool"])


def test_agents_are_tools_at_once(parley: Workbench) -> None:
    turn = parley.turn(
        sdk.orchestrator_agent,
        "Say hi in Spanish and French",
        model=[
            [
                calls("translate_to_spanish", input="Hi", inside=[says("Hola")]),
                calls("translate_to_french", input="Hi", inside=[says("Salut")]),
            ],
            says("Hola, salut"),
        ],
    )

    result = parley.run(turn)

    assert {call.output for call in result.tool_calls} == {"Hola", "Salut"}
    assert result.reply == "Hola, salut"
    parley.survives(turn)


def test_structured_output_is_the_reply(parley: Workbench) -> None:
    model: Script = [says({"response": sdk.OutputType({1: "A man walks into a bar."})})]
    turn = parley.turn(sdk.joker, "Tell me a joke", model=model)

    result = parley.run(turn)

    assert json.loads(result.reply or "") == {"jokes": {"1": "A man walks into a bar."}}, result
    parley.survives(turn)


@pytest.mark.parametrize("style", ["haiku", "pirate"])
def test_instructions_are_made_of_the_context(parley: Workbench, style: Any) -> None:
    turn = parley.turn(
        sdk.chat_agent,
        "Tell me a joke",
        model=[says("Arr.")],
        context=lambda _: sdk.CustomContext(style),
    )

    assert parley.run(turn).asked[0].instructions == f"Only respond as a {style}."


def judged(homework: bool) -> Script:
    def answer(asked: Asked) -> Says:
        if "math homework" in (asked.instructions or ""):
            return says(sdk.MathHomeworkOutput(reasoning="-", is_math_homework=homework))
        return says("Sacramento.")

    return answer


def test_a_guardrail_asks_an_agent(parley: Workbench) -> None:
    allowed = parley.turn(sdk.support_agent, "The capital of California?", model=judged(False))
    refused = parley.turn(sdk.support_agent, "Solve 2x + 5 = 11", model=judged(True))

    assert parley.run(allowed).reply == "Sacramento."
    assert parley.run(refused).error == "guardrail_tripped"
    parley.survives(allowed)
    parley.survives(refused, status="failed")


@pytest.mark.parametrize(
    ("response", "status"), [("In Oslo, I think.", "completed"), ("In 650.", "failed")]
)
def test_a_guardrail_looks_at_the_output(
    parley: Workbench, response: str, status: Literal["completed", "failed"]
) -> None:
    said = sdk.MessageOutput(reasoning="-", response=response, user_name=None)
    turn = parley.turn(sdk.discreet_agent, "Where do I live?", model=[says(said)])

    result = parley.run(turn)

    assert result.status == status
    assert result.error == (None if status == "completed" else "guardrail_tripped")
    parley.survives(turn, status=status)


OAKLAND: Script = [
    [calls("get_weather", city="Oakland"), calls("get_temperature", city="Oakland")],
    says("Sunny, 20 degrees."),
]


def weather_in_oakland(parley: Workbench, mode: Mode) -> Turn:
    return parley.turn(
        sdk.weather_agent,
        "What is the weather and temperature in Oakland?",
        model=OAKLAND,
        mode=mode,
        decides="approve",
    )


@pytest.mark.whole
@pytest.mark.parametrize("mode", MODES)
def test_a_person_in_the_loop_approves(parley: Workbench, mode: Mode) -> None:
    result = parley.run(weather_in_oakland(parley, mode))

    assert result.reply == "Sunny, 20 degrees."
    assert [(each.tool, each.status) for each in result.approvals] == [
        ("get_temperature", "approved")
    ]
    assert [call.output for call in result.tool_calls] == [
        "The weather in Oakland is sunny",
        "The temperature in Oakland is 20° Celsius",
    ]
    if mode == "stream":
        told = [each for each in result.events if each.startswith(("turn.", "approval."))]
        assert told == [
            "turn.started", "turn.waiting", "turn.resumed", "approval.decided", "turn.completed",
        ]  # fmt: skip


@pytest.mark.in_turns
@pytest.mark.parametrize("mode", MODES)
def test_what_a_person_in_the_loop_approves_survives(parley: Workbench, mode: Mode) -> None:
    turn = weather_in_oakland(parley, mode)

    parley.survives(turn, may_repeat=["get_weather", "get_temperature"])


def test_a_person_in_the_loop_is_not_asked_where_the_tool_does_not(parley: Workbench) -> None:
    turn = parley.turn(
        sdk.weather_agent,
        "And in Oslo?",
        model=[calls("get_temperature", city="Oslo"), says("20 degrees.")],
    )

    result = parley.run(turn)

    assert (result.reply, result.approvals) == ("20 degrees.", [])


@pytest.mark.in_turns
@pytest.mark.parametrize("mode", MODES)
def test_a_person_in_the_loop_rejects(parley: Workbench, mode: Mode) -> None:
    def answer(asked: Asked) -> Any:
        outputs = [item["output"] for item in asked.input if "output" in item]
        if outputs:
            return says(outputs[-1])
        return calls("publish_announcement", title="Office maintenance", body="At 6 PM.")

    turn = parley.turn(
        sdk.announcing_agent, "Please publish it.", model=answer, mode=mode, decides="reject"
    )

    result = parley.run(turn)

    assert result.tool_calls == []
    assert result.reply == "This call was not made: it was rejected."
    parley.survives(turn)


def test_a_person_in_the_loop_decides_turn_after_turn_of_a_session(parley: Workbench) -> None:
    def weather(location: str, session_id: Any = None) -> Any:
        return parley.turn(
            sdk.remembering_agent,
            f"Weather in {location}?",
            model=[calls("get_weather", location=location), says(f"That of {location}.")],
            session_id=session_id,
            decides=lambda _, given: "approve" if "San" in given["location"] else "reject",
        )

    first = parley.run(weather("San Francisco"))
    second = parley.run(weather("Oakland", first.session_id))

    assert [call.output for call in first.tool_calls] == ["Foggy, 58°F"]
    assert (second.tool_calls, second.reply) == ([], "That of Oakland.")
    shown = [item["output"] for item in second.asked[-1].input if "output" in item]
    assert shown == ["Foggy, 58°F", "This call was not made: it was rejected."]


@pytest.mark.in_turns
@pytest.mark.parametrize("mode", MODES)
def test_a_person_in_the_loop_decides_inside_an_agent_that_is_a_tool(
    parley: Workbench, mode: Mode
) -> None:
    refund = calls("submit_refund", order_id="ORD-1001", amount=12.5, reason="broken")
    turn = parley.turn(
        sdk.refunding_agent,
        "Refund my order",
        model=[
            calls("ask_refunds", input="refund ORD-1001", inside=[refund, says("It is done.")]),
            says("You get it back."),
        ],
        mode=mode,
        decides="approve",
    )

    result = parley.run(turn)

    assert result.reply == "You get it back."
    assert [each.tool for each in result.approvals] == ["submit_refund"]
    parley.survives(turn, may_repeat=["submit_refund"])


def test_without_anybody_who_decides_it_waits(parley: Workbench) -> None:
    turn = parley.turn(sdk.weather_agent, "Oakland?", model=OAKLAND)

    result = parley.run(turn)

    assert (result.status, result.reply) == ("waiting", None)
    assert [each.status for each in result.approvals] == ["open"]
    parley.survives(turn, status="waiting", may_repeat=["get_weather"])
