"""What `make deploy` decides from the account and from what is deployed already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEFT_UNRESERVED = 100
"""Executions at a time that AWS keeps back from reservations; a new account has 10 in all."""

RESERVED: Mapping[str, int] = {
    "AuthorizerConcurrency": 20,
    "SessionsConcurrency": 20,
    "MessagesConcurrency": 20,
    "StreamConcurrency": 20,
    "CleanupConcurrency": 2,
}
"""What each function is given where nobody says a number.

Without a limit of its own, one function can take all that the account has: the readers of one
user, whose streams last a minute each, and then nobody's token is verified any more.
"""

_NOT_THERE = ("ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS", "DELETE_COMPLETE")
"""States of a stack that was never made whole, or is not there any more."""


@dataclass(frozen=True)
class Account:
    """What was found.

    Attributes:
        concurrency: Executions at a time that the account has in the region.
        unreserved: Those of them that no function has for itself.
        deployed: The parameters of the stack; None where there is none yet.
    """

    concurrency: int
    unreserved: int
    deployed: Mapping[str, str] | None


def find_account(session: Any, stack: str) -> Account:
    """Ask AWS for what it says of the account and the stack.

    Args:
        session: boto3's, with the region and the credentials.
        stack: The stack's name.

    Raises:
        botocore.exceptions.ClientError: AWS refuses an answer.
        botocore.exceptions.BotoCoreError: AWS cannot be asked.
    """
    limits = session.client("lambda").get_account_settings()["AccountLimit"]
    return Account(
        concurrency=limits["ConcurrentExecutions"],
        unreserved=limits["UnreservedConcurrentExecutions"],
        deployed=deployed_parameters(session.client("cloudformation"), stack),
    )


def deployed_parameters(client: Any, stack: str) -> Mapping[str, str] | None:
    """Return the parameters of a stack; None where there is none.

    Args:
        client: CloudFormation's.
        stack: The stack's name.

    Raises:
        botocore.exceptions.ClientError: AWS refuses an answer.
        botocore.exceptions.BotoCoreError: AWS cannot be asked.
    """
    # By listing, since a stack that is not there is the same error as a wrong request.
    for page in client.get_paginator("describe_stacks").paginate():
        for found in page["Stacks"]:
            if found["StackName"] == stack and found["StackStatus"] not in _NOT_THERE:
                given = found.get("Parameters", ())
                return {one["ParameterKey"]: one.get("ParameterValue", "") for one in given}
    return None


def decided(parameters: Mapping[str, str], account: Account) -> tuple[dict[str, str], list[str]]:
    """Return the parameters that nobody gave and that the account decides, and what to say.

    Args:
        parameters: Those that were given, which are left alone.
        account: What was found.
    """
    deployed = account.deployed or {}
    missing = {
        name: number
        for name, number in RESERVED.items()
        # One that was given once keeps its value when the stack is updated.
        if name not in parameters and not deployed.get(name)
    }
    found: dict[str, str] = {}
    said: list[str] = []
    if account.unreserved - sum(missing.values()) >= LEFT_UNRESERVED:
        found |= {name: str(number) for name, number in missing.items()}
        if missing:
            numbers = ", ".join(f"{name}={number}" for name, number in missing.items())
            said.append(f"Each function has a limit of its own ({numbers}).")
    elif missing:
        said.append(
            f"The account runs {account.concurrency} executions at a time here, of which "
            f"{account.unreserved} are unreserved, too few to set some aside: the readers of one "
            "user can hold all of them. Ask for more (Service Quotas, Lambda, Concurrent "
            "executions), and deploy again."
        )
    if "DeletionProtection" not in parameters and account.deployed is not None:
        # Not when it is made: what a failed first deployment takes back must not be protected.
        found["DeletionProtection"] = "true"
        if deployed.get("DeletionProtection") != "true":
            said.append("From now on the table and the user pool are protected from deletion.")
    return found, said
