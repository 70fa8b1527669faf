"""What `make deploy` decides from the account: limits for each function, and protection."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from parley_deploy.account import RESERVED, Account, decided, find_account
from parley_testing.account.template import PARAMETERS


def account(
    unreserved: int = 1000, deployed: dict[str, str] | None = None, *, concurrency: int = 1000
) -> Account:
    return Account(concurrency, unreserved, deployed)


def test_each_function_gets_a_limit_so_that_none_can_take_what_the_others_need() -> None:
    found, said = decided({}, account())

    assert found == {name: str(number) for name, number in RESERVED.items()}
    # The authorizer's own share is what other functions cannot take.
    assert int(found["AuthorizerConcurrency"]) > 0
    assert any("StreamConcurrency=20" in sentence for sentence in said)


def test_the_limits_are_parameters_of_the_template_which_takes_them() -> None:
    assert RESERVED.keys() <= PARAMETERS.keys()
    # Each process may hold two connections, and a small Postgres has a hundred in all.
    with_postgres = sum(RESERVED.values()) - RESERVED["AuthorizerConcurrency"]
    assert 2 * (with_postgres + PARAMETERS["WorkerConcurrency"]["Default"]) <= 150


@pytest.mark.parametrize(("unreserved", "concurrency"), [(10, 10), (181, 1000)])
def test_an_account_that_has_too_few_is_left_alone_and_told(
    unreserved: int, concurrency: int
) -> None:
    found, said = decided({}, account(unreserved, concurrency=concurrency))

    # AWS would refuse the whole deployment.
    assert found == {}
    assert f"{concurrency} executions at a time" in said[0]


def test_an_account_that_has_just_enough_is_given_them() -> None:
    found, _ = decided({}, account(100 + sum(RESERVED.values())))

    assert found.keys() == RESERVED.keys()


def test_what_was_given_now_or_is_deployed_stays_as_it_is() -> None:
    found, _ = decided(
        {"StreamConcurrency": ""}, account(deployed={"MessagesConcurrency": "40", "X": "y"})
    )

    assert not {"StreamConcurrency", "MessagesConcurrency"} & found.keys()
    assert found["SessionsConcurrency"] == "20"


def test_data_is_protected_once_there_is_a_stack_that_no_failure_takes_back() -> None:
    first, _ = decided({}, account())
    second, said = decided({}, account(deployed={"DeletionProtection": "false"}))
    third, silent = decided(RESERVED_TEXT, account(deployed={"DeletionProtection": "true"}))

    # What a failed first deployment takes back could not be removed.
    assert "DeletionProtection" not in first
    assert second["DeletionProtection"] == "true"
    assert any("protected" in sentence for sentence in said)
    assert (third, silent) == ({"DeletionProtection": "true"}, [])
    assert (
        "DeletionProtection"
        not in decided({"DeletionProtection": "false"}, account(deployed={}))[0]
    )


RESERVED_TEXT = {name: str(number) for name, number in RESERVED.items()}


@pytest.mark.parametrize(
    ("status", "there"),
    [("UPDATE_COMPLETE", True), ("UPDATE_ROLLBACK_COMPLETE", True), ("ROLLBACK_COMPLETE", False)],
)
def test_aws_is_asked_for_the_limits_and_the_stack(status: str, there: bool) -> None:
    given = {
        "region_name": "eu-west-1",
        "aws_access_key_id": "none",
        "aws_secret_access_key": "none",
    }
    clients: dict[str, Any] = {
        name: boto3.client(name, **given)  # type: ignore[call-overload]
        for name in ("lambda", "cloudformation")
    }
    stack = {"StackName": "parley", "StackStatus": status, "CreationTime": "2026-11-28T00:00:00Z"}
    other = {**stack, "StackName": "other", "StackStatus": "CREATE_COMPLETE"}
    parameter = {"ParameterKey": "LogLevel", "ParameterValue": "INFO"}
    with Stubber(clients["lambda"]) as limits, Stubber(clients["cloudformation"]) as stacks:
        limits.add_response(
            "get_account_settings",
            {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 900}},
        )
        stacks.add_response(
            "describe_stacks", {"Stacks": [other, {**stack, "Parameters": [parameter]}]}
        )

        found = find_account(_Session(clients), "parley")

    assert found == Account(1000, 900, {"LogLevel": "INFO"} if there else None)


class _Session:
    """boto3's session, as far as it is asked."""

    def __init__(self, clients: dict[str, Any]) -> None:
        self.client = clients.__getitem__
