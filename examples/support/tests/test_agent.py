"""The agent, with a model that says what each test has it say."""

from __future__ import annotations

from parley.testing import Script, Workbench, calls, says

ESCALATES: Script = [calls("escalate", reason="My parcel is lost."), says("Somebody will look.")]


def test_it_answers(parley: Workbench) -> None:
    answered = parley.run(parley.turn("support", "Hello", model=[says("Good morning.")]))

    assert answered.reply == "Good morning."
    assert answered.tool_calls == []


def test_it_hands_over_to_a_person(parley: Workbench) -> None:
    handed = parley.run(parley.turn("support", "Where is my parcel?", model=ESCALATES))

    assert handed.reply == "Somebody will look."
    assert [called.output for called in handed.tool_calls] == [
        "A person will look at the conversation."
    ]


def test_it_hands_over_once_wherever_the_process_dies(parley: Workbench) -> None:
    parley.survives(parley.turn("support", "Where is my parcel?", model=ESCALATES))
