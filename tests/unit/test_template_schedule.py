"""The schedule of the cleanup function, and where its failures go."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parley.config import Settings
from parley_testing.account.template import (
    FUNCTIONS,
    PARAMETERS,
    RESOURCES,
    ROOT,
    of_type,
    translated,
)

TRANSLATED = translated()
QUEUE = {"Fn::GetAtt": ["CleanupFailures", "Arn"]}


SCHEDULES = {
    json.loads(found["Properties"]["Target"]["Input"])["action"]: found["Properties"]
    for found in of_type(TRANSLATED, "AWS::Scheduler::Schedule").values()
}
of_each = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def test_recovery_comes_as_often_as_the_parameter_says_and_hourly_by_default() -> None:
    assert SCHEDULES["recover"]["ScheduleExpression"] == {"Ref": "RecoveryRate"}
    assert PARAMETERS["RecoveryRate"]["Default"] == "rate(1 hour)"


def test_cleanup_comes_daily_at_the_hour_of_the_parameter() -> None:
    expression = SCHEDULES["clean"]["ScheduleExpression"]

    assert expression == {"Fn::Sub": "cron(0 ${AgentSessionCleanupHour} * * ? *)"}
    assert PARAMETERS["AgentSessionCleanupHour"]["Default"] == (
        Settings.model_fields["agent_session_cleanup_hour"].default
    )


@of_each
def test_it_has_no_name_that_another_stack_could_have(schedule: dict[str, Any]) -> None:
    assert "Name" not in schedule


@pytest.mark.parametrize("action", SCHEDULES)
def test_it_sends_the_sample_event_to_the_cleanup_function(action: str) -> None:
    target = SCHEDULES[action]["Target"]
    sample = (ROOT / "events" / "cleanup" / f"{action}.json").read_text()

    assert target["Arn"] == {"Fn::GetAtt": ["Cleanup", "Arn"]}
    assert json.loads(target["Input"]) == json.loads(sample)


@of_each
def test_what_cannot_be_delivered_is_kept(schedule: dict[str, Any]) -> None:
    target = schedule["Target"]

    assert target["DeadLetterConfig"]["Arn"] == QUEUE
    assert target["RetryPolicy"]["MaximumRetryAttempts"] <= 3


def test_what_was_delivered_and_failed_is_kept_too() -> None:
    (found,) = of_type(TRANSLATED, "AWS::Lambda::EventInvokeConfig").values()
    config = found["Properties"]

    assert config["FunctionName"] == {"Ref": "Cleanup"}
    assert config["DestinationConfig"]["OnFailure"]["Destination"] == QUEUE
    assert config["MaximumRetryAttempts"] <= 1


@of_each
def test_the_schedules_role_may_call_the_function_and_report_and_no_more(
    schedule: dict[str, Any],
) -> None:
    target = schedule["Target"]
    role = RESOURCES["CleanupScheduleRole"]["Properties"]
    doc = (ROOT / "docs" / "iam.md").read_text()

    (policy,) = role["Policies"]
    allowed = [(s["Action"], s["Resource"]) for s in policy["PolicyDocument"]["Statement"]]

    assert target["RoleArn"] == {"Fn::GetAtt": ["CleanupScheduleRole", "Arn"]}
    assert allowed == [
        ("lambda:InvokeFunction", {"Fn::GetAtt": ["Cleanup", "Arn"]}),
        ("sqs:SendMessage", QUEUE),
    ]
    assert all(f"`{action}`" in doc for action, _ in allowed)
    assert "ManagedPolicyArns" not in role


def test_only_schedules_of_the_same_account_may_take_that_role() -> None:
    role = RESOURCES["CleanupScheduleRole"]["Properties"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]

    assert statement["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    }


def test_an_invocation_may_take_as_long_as_there_is() -> None:
    assert FUNCTIONS["Cleanup"]["Timeout"] == 900
