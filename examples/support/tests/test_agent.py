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


def refunds(cents: int, then: str) -> Script:
    given = {"order_number": "A-1", "cents": cents, "reason": "It came broken."}
    return [calls("refund", **given), says(then)]


def refunded(parley: Workbench) -> list[int]:
    return [row["cents"] for row in parley.database.rows("SELECT cents FROM support_desk_refunds")]


def test_a_small_amount_is_refunded_at_once(parley: Workbench) -> None:
    turn = parley.turn("support", "My cup came broken", model=refunds(50_00, "You get 50.00 back."))

    result = parley.run(turn)

    assert (result.reply, result.approvals) == ("You get 50.00 back.", [])
    assert refunded(parley) == [50_00]


def test_a_larger_one_waits_for_an_administrator(parley: Workbench) -> None:
    turn = parley.turn("support", "My chair came broken", model=refunds(80_00, "Refunded."))

    result = parley.run(turn)

    assert (result.status, [asked.status for asked in result.approvals]) == ("waiting", ["open"])
    assert refunded(parley) == []


def test_what_was_rejected_is_not_refunded_and_the_agent_is_told(parley: Workbench) -> None:
    turn = parley.turn(
        "support", "My chair came broken", model=refunds(80_00, "Sorry."), decides="reject"
    )

    result = parley.run(turn)

    assert result.asked[-1].input[-1]["output"] == "This call was not made: it was rejected."
    assert (result.reply, refunded(parley)) == ("Sorry.", [])


def test_what_was_approved_is_refunded_once_wherever_the_process_dies(parley: Workbench) -> None:
    turn = parley.turn(
        "support", "My chair came broken", model=refunds(80_00, "Refunded."), decides="approve"
    )

    parley.survives(turn)

    assert parley.run(turn).reply == "Refunded."
    assert refunded(parley) == [80_00]
