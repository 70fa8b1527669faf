"""When the local queue's messages may be received, by a clock that only the test moves."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace

import pytest

from parley_local.queue_state import Message, QueueState, UnknownReceipt
from parley_local.template import Queue
from parley_testing.waiting import HANG_SECONDS

SETTINGS = Queue("Wakeups", "Reader", visibility=30, delay=0, receives=2, dead_letters="Failures")


class Given:
    """A queue at a time of its own, and what was given up."""

    def __init__(self, settings: Queue = SETTINGS) -> None:
        self.now = 1000.0
        self.buried: list[Message] = []
        self.queue = QueueState(settings, bury=self.buried.append, clock=lambda: self.now, retry=5)

    def receive(self) -> Message:
        message = self.queue.take()
        assert message is not None
        return message

    def receipt(self) -> str:
        receipt = self.receive().receipt
        assert receipt is not None
        return receipt


@pytest.fixture
def given() -> Given:
    return Given()


def test_a_message_is_received_once_until_its_visibility_is_over(given: Given) -> None:
    given.queue.send("x")

    first = given.receipt()
    given.now += 29.9
    assert given.queue.take() is None
    given.now += 0.1
    again = given.receive()

    assert again.receipt != first
    assert (again.receives, again.first_received_at) == (2, 1000.0)


def test_a_delay_is_kept_the_messages_own_before_the_queues() -> None:
    given = Given(replace(SETTINGS, delay=10))
    given.queue.send("the queue's")
    given.queue.send("its own", 3)

    assert given.queue.take() is None
    given.now += 3
    assert given.receive().body == "its own"
    assert given.queue.take() is None
    given.now += 7
    assert given.receive().body == "the queue's"


def test_a_message_that_failed_comes_again_soon_but_not_at_once(given: Given) -> None:
    given.queue.send("x")

    given.queue.fail(given.receipt())

    given.now += 4.9
    assert given.queue.take() is None
    given.now += 0.1
    assert given.receive().receives == 2


def test_a_failure_does_not_put_off_what_comes_sooner() -> None:
    given = Given(replace(SETTINGS, visibility=2))
    given.queue.send("x")

    given.queue.fail(given.receipt())

    given.now += 2
    assert given.receive().receives == 2


def test_what_the_handler_said_counts_more_than_its_failure(given: Given) -> None:
    given.queue.send("x")
    receipt = given.receipt()

    given.queue.change_visibility(receipt, 60)
    given.queue.fail(receipt)

    given.now += 59.9
    assert given.queue.take() is None
    given.now += 0.1
    # The next failure is one like any other.
    given.queue.fail(given.receipt())
    given.now += 5
    assert given.queue.take() is None
    assert given.buried != []


def test_a_message_that_was_received_in_vain_as_often_as_it_may_is_given_up(given: Given) -> None:
    given.queue.send("x")
    for _ in range(2):
        given.queue.fail(given.receipt())
        given.now += 5

    assert given.buried == []
    assert given.queue.take() is None

    (message,) = given.buried
    assert (message.body, message.receives) == ("x", 2)
    assert len(given.queue) == 0


def test_a_message_that_cannot_be_put_aside_is_kept_until_it_can(given: Given) -> None:
    class Full:
        full = True

        def keep(self, message: Message) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            given.buried.append(message)

    disk = Full()
    given.queue = QueueState(SETTINGS, bury=disk.keep, clock=lambda: given.now, retry=5)
    given.queue.send("x")
    for _ in range(2):
        given.receive()
        given.now += 30

    assert given.queue.take() is None
    assert len(given.queue) == 1
    disk.full = False
    given.now += 5
    assert given.queue.take() is None

    assert [message.body for message in given.buried] == ["x"]
    assert len(given.queue) == 0


def test_without_a_redrive_policy_nothing_is_given_up() -> None:
    given = Given(replace(SETTINGS, receives=None, dead_letters=None))
    given.queue.send("x")

    for _ in range(20):
        given.queue.fail(given.receipt())
        given.now += 5

    assert given.receive().receives == 21


def test_a_receipt_counts_only_until_the_next_receive(given: Given) -> None:
    given.queue.send("x")
    old = given.receipt()
    given.now += 30
    new = given.receipt()

    given.queue.delete(old)
    given.queue.fail(old)
    with pytest.raises(UnknownReceipt):
        given.queue.change_visibility(old, 0)

    assert len(given.queue) == 1
    given.queue.delete(new)
    assert len(given.queue) == 0


def test_the_visibility_of_a_message_that_is_visible_cannot_be_changed(given: Given) -> None:
    given.queue.send("x")
    receipt = given.receipt()
    given.now += 30

    with pytest.raises(UnknownReceipt):
        given.queue.change_visibility(receipt, 10)


async def test_who_waits_is_woken_by_a_message_and_by_one_put_back(given: Given) -> None:
    waiting = asyncio.create_task(given.queue.receive())
    await asyncio.sleep(0)
    given.queue.send("x")
    message = await asyncio.wait_for(waiting, HANG_SECONDS)

    again = asyncio.create_task(given.queue.receive())
    await asyncio.sleep(0)
    given.queue.change_visibility(message.receipt or "", 0)

    assert (await asyncio.wait_for(again, HANG_SECONDS)).id == message.id


def test_messages_of_one_group_do_not_make_those_of_others_wait(given: Given) -> None:
    for n in range(5):
        given.queue.send(f"many {n}", group="many")
    first = given.queue.take()
    given.now += 1
    given.queue.send("one", group="one")

    second, third = given.queue.take(), given.queue.take()

    assert first is not None
    assert second is not None
    assert third is not None
    assert [first.body, second.body, third.body] == ["many 0", "one", "many 1"]
    given.queue.send("another", group="one")
    given.queue.delete(second.receipt or "")
    fourth = given.queue.take()
    assert fourth is not None
    assert fourth.body == "another"


def test_many_messages_are_taken_in_the_order_of_their_groups_turns(given: Given) -> None:
    for n in range(24):
        given.queue.send(f"alice {n}", group="alice")
    given.now += 1
    for n in range(3):
        given.queue.send(f"bob {n}", group="bob")
    at_work = [given.receive() for _ in range(4)]
    order = [message.body for message in at_work]
    while (done := at_work.pop(0)) and len(order) < 27:
        given.queue.delete(done.receipt or "")
        at_work.append(given.receive())
        order.append(at_work[-1].body)

    # Four at a time: two of each, until bob has no more.
    assert order[:6] == ["alice 0", "bob 0", "alice 1", "bob 1", "alice 2", "bob 2"]
    assert order[6:] == [f"alice {n}" for n in range(3, 24)]
