"""The wake-ups of template.yaml: their queue, who wakes it, the worker, and what is given up."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID

import pytest

from parley_testing.account.template import (
    FUNCTIONS,
    MONITORING,
    PARAMETERS,
    RESOURCES,
    ROOT,
    actions,
    allowed,
    of_type,
    properties_of,
    translated,
)

TRANSLATED = translated()
QUEUE: dict[str, Any] = RESOURCES["WakeQueue"]["Properties"]
FAILURES: dict[str, Any] = RESOURCES["WakeQueueFailures"]["Properties"]
QUEUES = of_type(TRANSLATED, "AWS::SQS::Queue")
ARN = {"Fn::GetAtt": ["WakeQueue", "Arn"]}
WAKE = ("Sessions", "Messages", "Stream", "Worker", "Cleanup")
LONGEST_DELAY = 900
"""Seconds that SQS keeps a message back at most."""


def may(function: str, action: str) -> bool:
    """Whether a function's role allows an action on the queue."""
    return any(action in actions(one) and one["Resource"] == ARN for one in allowed(function))


def test_a_wakeup_is_not_given_to_a_second_worker_while_the_first_may_still_run() -> None:
    # A linter takes less, and AWS refuses it; six times is what AWS advises.
    assert QUEUE["VisibilityTimeout"] >= 6 * FUNCTIONS["Worker"]["Timeout"]
    assert QUEUE["VisibilityTimeout"] <= 43_200


def test_order_is_not_the_queues_business() -> None:
    # A FIFO queue would hold back a session behind a worker that died.
    assert "FifoQueue" not in QUEUE
    assert "FifoQueue" not in FAILURES


def test_an_invocation_is_for_one_wakeup_and_their_number_is_a_parameter() -> None:
    (mapping,) = of_type(TRANSLATED, "AWS::Lambda::EventSourceMapping").values()
    properties = mapping["Properties"]

    assert properties["EventSourceArn"] == ARN
    assert properties["FunctionName"] == {"Ref": "Worker"}
    assert properties["BatchSize"] == 1
    assert properties["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "WorkerConcurrency"}}
    # What AWS takes for it.
    limits = PARAMETERS["WorkerConcurrency"]
    assert (limits["MinValue"], limits["MaxValue"]) == (2, 1000)
    # A new account runs ten at a time in all, and somebody has to take the requests.
    assert limits["Default"] <= 5
    assert "ReservedConcurrentExecutions" not in FUNCTIONS["Worker"]


def test_what_the_worker_fails_over_again_and_again_is_put_aside() -> None:
    policy = QUEUE["RedrivePolicy"]

    assert policy["deadLetterTargetArn"] == {"Fn::GetAtt": ["WakeQueueFailures", "Arn"]}
    # AWS advises five at least: an invocation that is throttled counts too.
    assert policy["maxReceiveCount"] >= 5


def test_only_wakeups_are_put_aside_there() -> None:
    (source,) = FAILURES["RedriveAllowPolicy"]["sourceQueueArns"]

    assert FAILURES["RedriveAllowPolicy"]["redrivePermission"] == "byQueue"
    name = QUEUE["QueueName"]["Fn::Sub"]
    assert source == {
        "Fn::Sub": f"arn:${{AWS::Partition}}:sqs:${{AWS::Region}}:${{AWS::AccountId}}:{name}"
    }


def test_two_stacks_of_an_account_have_queues_of_their_own() -> None:
    assert "${AWS::StackName}" in QUEUE["QueueName"]["Fn::Sub"]
    assert "QueueName" not in FAILURES


@pytest.mark.parametrize("function", FUNCTIONS)
def test_who_wakes_knows_the_queue_and_may_send_to_it_and_nobody_else(function: str) -> None:
    known = FUNCTIONS[function]["Environment"]["Variables"].get("WAKE_QUEUE_URL")

    wakes = function in WAKE
    assert known == ({"Ref": "WakeQueue"} if wakes else None)
    assert may(function, "sqs:SendMessage") == wakes


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_is_encrypted_and_reached_over_tls_only(name: str) -> None:
    policy = RESOURCES[f"{name}OverTls"]["Properties"]
    (said,) = policy["PolicyDocument"]["Statement"]

    assert QUEUES[name]["Properties"]["SqsManagedSseEnabled"] is True
    assert policy["Queues"] == [{"Ref": name}]
    assert said["Resource"] == {"Fn::GetAtt": [name, "Arn"]}
    assert (said["Effect"], said["Principal"], said["Action"]) == ("Deny", "*", "sqs:*")
    assert said["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_what_is_put_aside_is_kept_for_as_long_as_there_is() -> None:
    for name in QUEUES.keys() - {"WakeQueue"}:
        assert QUEUES[name]["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600
    # A message keeps the age that it had, so it must be given up before it would have ended anyway.
    assert "MessageRetentionPeriod" not in QUEUE  # four days


def test_lambda_does_not_take_a_sessions_turns_for_a_loop() -> None:
    # A worker wakes another for its session's next turn; by default Lambda drops the sixteenth.
    looping = {name: properties_of(name).get("RecursiveLoop", "Terminate") for name in FUNCTIONS}

    # Whoever is called by the queue and wakes into it, and nobody else.
    circular = {name for name in FUNCTIONS if name in WAKE and may(name, "sqs:ReceiveMessage")}
    assert {name for name, value in looping.items() if value == "Allow"} == circular == {"Worker"}


def test_only_the_worker_takes_wakeups() -> None:
    for action in ("sqs:ReceiveMessage", "sqs:ChangeMessageVisibility"):
        assert [name for name in FUNCTIONS if may(name, action)] == ["Worker"]


def test_a_turn_that_is_worked_at_raises_no_alarm() -> None:
    # A wake-up stays in its queue until it is answered.
    for seconds in MONITORING["Mappings"]["Thresholds"]["WakeQueueAgeSeconds"].values():
        assert seconds > FUNCTIONS["Worker"]["Timeout"]
        assert seconds > LONGEST_DELAY


def test_the_sample_event_is_what_sqs_delivers() -> None:
    event = json.loads((ROOT / "events" / "worker" / "wakeup.json").read_text())
    (record,) = event["Records"]

    assert UUID(record["body"]).version == 7
    assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].endswith(":parley-wake-queue")
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["receiptHandle"]
