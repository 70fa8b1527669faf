"""The agent, with a model that says what each test has it say."""

from __future__ import annotations

from parley.testing import Workbench, says


def test_it_answers(parley: Workbench) -> None:
    answered = parley.run(parley.turn("assistant", "Hello", model=[says("Good morning.")]))

    assert answered.reply == "Good morning."
    assert answered.transcript == [("user", "Hello"), ("assistant", "Good morning.")]


def test_it_answers_wherever_the_process_dies(parley: Workbench) -> None:
    parley.survives(parley.turn("assistant", "Hello", model=[says("Good morning.")]))
