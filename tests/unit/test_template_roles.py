"""The functions' roles: what docs/iam.md says, no more, and what the code needs."""

from __future__ import annotations

import inspect
import json
import re
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from parley.events.dynamodb import DynamoDbEventLog
from parley.events.log import TurnEvent
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.store import StoredTurn, TurnMemory
from parley_testing.account.template import (
    FUNCTIONS,
    RESOURCES,
    ROOT,
    actions,
    allowed,
    of_type,
    role_of,
    statements,
    translated,
)
from parley_testing.stores.turn_keys import numbered

PARLEY = ROOT / "layers" / "shared" / "python" / "parley"
ROW = re.compile(r"^\| (\w+) \| `([a-z0-9]+:\w+)` \|.*?\|.*?\| (.+) \|$", re.MULTILINE)
TABLE: list[tuple[str, str, str]] = ROW.findall((ROOT / "docs" / "iam.md").read_text())
ON_ANYTHING = {"TracePolicy", "NetworkPolicy"}
RUNS_TURNS = [
    PARLEY / "turns",
    PARLEY / "runner",
    PARLEY / "events" / "writer.py",
    PARLEY / "memory" / "window.py",
]
WHO_USES_THE_STORE = {
    "Sessions": [
        PARLEY / "cleanup",
        PARLEY / "users",
        PARLEY / "http" / "admin_stats.py",
        PARLEY / "turns" / "journal.py",
    ],
    "Messages": RUNS_TURNS,
    "Stream": RUNS_TURNS,
    "Worker": RUNS_TURNS,
    # All but what clears and prunes one session's memory, which is done for its user.
    "Cleanup": [
        PARLEY / "cleanup" / f"{name}.py"
        for name in ("expired_sessions", "gauges", "outbox", "sweep")
    ],
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_holds_what_the_table_says(function: str) -> None:
    may = {action for statement in allowed(function) for action in actions(statement)}

    assert may == {action for name, action, _ in TABLE if name == function}


@pytest.mark.parametrize(("function", "action", "code"), TABLE)
def test_a_line_of_code_needs_each_action(function: str, action: str, code: str) -> None:
    if code == "the runtime":
        assert action.startswith(("logs:", "sqs:"))
        return
    file, call = re.fullmatch(r"`(.+)`: `(.+)`", code).groups()  # type: ignore[union-attr]

    assert call in (PARLEY / file).read_text()


def test_every_function_has_a_role_that_only_it_has() -> None:
    roles = [json.dumps(FUNCTIONS[function]["Role"]) for function in FUNCTIONS]

    assert len(set(roles)) == len(FUNCTIONS)


def test_the_only_other_role_is_the_schedules() -> None:
    own = {FUNCTIONS[function]["Role"]["Fn::GetAtt"][0] for function in FUNCTIONS}

    assert set(of_type(translated(), "AWS::IAM::Role")) - own == {"CleanupScheduleRole"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_allows_nothing_on_everything(function: str) -> None:
    for statement in allowed(function):
        assert statement["Effect"] == "Allow"
        assert "*" not in json.dumps(statement["Resource"]), statement["Sid"]
        assert not any("*" in action for action in actions(statement))


def test_only_two_policies_are_on_everything_and_the_functions_have_no_others() -> None:
    attached = [json.dumps(role_of(function)["ManagedPolicyArns"]) for function in FUNCTIONS]

    found = {name for text in attached for name in re.findall(r'"Ref": "(\w+)"', text)}

    assert found == ON_ANYTHING
    others = {"DatabaseSecretPolicy"}  # what their own policies allow as well, see below
    assert set(of_type(translated(), "AWS::IAM::ManagedPolicy")) == ON_ANYTHING | others
    assert not any("arn:" in text for text in attached)


def test_versions_that_still_run_may_read_their_secret_until_the_last() -> None:
    # A role changes before the functions do. Of a policy with another description a new one is made
    # first, and the one before is removed when all else is done.
    policy = RESOURCES["DatabaseSecretPolicy"]["Properties"]
    (statement,) = statements(policy["PolicyDocument"])
    reads = {name for name in FUNCTIONS if statement in allowed(name)}
    roles = {json.dumps(FUNCTIONS[name]["Role"]["Fn::GetAtt"][0]) for name in reads}

    assert reads == {"Sessions", "Messages", "Stream", "Worker", "Cleanup"}
    assert {json.dumps(role["Ref"]) for role in policy["Roles"]} == roles
    sentence, values = policy["Description"]["Fn::Sub"]
    assert values["Secret"] == statement["Resource"]
    assert "${Secret}" in sentence
    assert "Condition" not in RESOURCES["DatabaseSecretPolicy"]
    assert not any("DatabaseSecretPolicy" in json.dumps(role_of(name)) for name in FUNCTIONS)


@pytest.mark.parametrize("name", sorted(ON_ANYTHING))
def test_a_policy_on_everything_says_why(name: str) -> None:
    skipped = RESOURCES[name]["Metadata"]["checkov"]["skip"]
    policy = RESOURCES[name]["Properties"]["PolicyDocument"]
    doc = (ROOT / "docs" / "iam.md").read_text()

    assert all(check["comment"] for check in skipped)
    for statement in statements(policy):
        assert all(f"`{action}`" in doc for action in actions(statement))
        assert not any("*" in action for action in actions(statement))


def test_what_lambda_may_do_in_the_vpc_the_code_may_not() -> None:
    may, may_not = statements(RESOURCES["NetworkPolicy"]["Properties"]["PolicyDocument"])

    assert (may["Effect"], may_not["Effect"]) == ("Allow", "Deny")
    assert actions(may) == actions(may_not)
    assert may_not["Condition"] == {"Null": {"lambda:SourceFunctionArn": "false"}}


@pytest.mark.parametrize(
    "function", ["Sessions", "Messages", "Stream", "Worker", "Cleanup", "Migrate"]
)
def test_a_key_decrypts_nothing_but_the_secrets(function: str) -> None:
    (statement,) = (s for s in allowed(function) if actions(s) == {"kms:Decrypt"})

    assert statement["Resource"] == {"Ref": "SecretsKmsKeyArn"}
    services = statement["Condition"]["StringEquals"]["kms:ViaService"]
    assert [service["Fn::Sub"].split(".")[0] for service in services] == ["secretsmanager", "ssm"]


@pytest.mark.parametrize("function", ["Sessions", "Cleanup", "Migrate", "Authorizer"])
def test_only_what_runs_agents_may_read_the_models_key(function: str) -> None:
    assert "OpenAiSecretArn" not in json.dumps(allowed(function))


def test_the_authorizer_may_read_nothing() -> None:
    assert {a for s in allowed("Authorizer") for a in actions(s)} == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }


@pytest.mark.parametrize("function", WHO_USES_THE_STORE)
def test_a_function_may_do_to_the_table_exactly_what_store_and_log_do_for_it(function: str) -> None:
    may = {
        action
        for statement in allowed(function)
        for action in actions(statement)
        if action.startswith("dynamodb:")
    }

    assert may == {f"dynamodb:{name}" for name in _operations(function)}


def _store_methods(function: str) -> set[str]:
    """The methods of the store that the function's code calls."""
    files = [
        file
        for place in WHO_USES_THE_STORE[function]
        for file in (place.glob("*.py") if place.is_dir() else [place])
    ]
    text = "\n".join(file.read_text() for file in files)
    if "Window(" in text:
        text += (PARLEY / "memory" / "window.py").read_text()
    return set(re.findall(r"\b_?store\.(\w+)", text)) - {"memory"}


def _operations(function: str) -> set[str]:
    """What DynamoDB is asked to do when the function's calls meet all that they may meet.

    A payload over the limit of an item makes the store write and read chunks; a second attempt
    finds the records of the first.
    """
    seen: set[str] = set()
    methods = _store_methods(function)
    with mock_aws():
        client = boto3.client(
            "dynamodb",
            region_name="eu-west-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=Config(retries={"total_max_attempts": 1}),
        )
        keys = RESOURCES["MemoryTable"]["Properties"]
        client.create_table(
            TableName="memory",
            KeySchema=keys["KeySchema"],
            AttributeDefinitions=keys["AttributeDefinitions"],
            BillingMode="PAY_PER_REQUEST",
        )
        store = DynamoDbStore(client, "memory")
        noise = [{"role": "user", "content": _incompressible(900_000)}]
        store.finish("c", numbered(1), 1, TurnMemory(noise, reply="", usage={}))
        client.meta.events.register("before-call.dynamodb", lambda model, **_: seen.add(model.name))
        arguments: dict[str, tuple[Any, ...]] = {
            "claim": ("c", numbered(2), 2),
            "discard": ("c", numbered(2), 2),
            "expired": (),
            "finish": ("c", numbered(2), 2, TurnMemory(noise, reply="", usage={})),
            "forget": ("c",),
            "forget_before": ("c", 2),
            "forget_summaries": ("c",),
            "read": ("c", [numbered(1)]),
            "read_newest": ("c", 5),
            "record": ("c", numbered(2), 2, "0", {"text": _incompressible(40_000)}),
            "remove_expired": (10,),
            "write_back": ("c", [StoredTurn(numbered(3), 1, TurnMemory(noise))]),
            "statistics": ("c",),
            "weigh": ("c",),
            "conversations": (None, 10),
            "size": (),
        }
        # In the order of a turn's life, forgetting last.
        order = ["read_newest", "read", "statistics", "weigh", "conversations", "size"]
        order += ["claim", "record", "claim", "discard", "finish", "write_back"]
        order += ["expired", "remove_expired", "forget_before", "forget_summaries", "forget"]
        assert methods <= set(order), "a method that this test does not know"
        for name in order:
            if name in methods:
                getattr(store, name)(*arguments[name])
        if function == "Cleanup":
            return seen
        # Who writes turns or cancels them writes their events, and has to read where they end.
        log = DynamoDbEventLog(client, "memory")
        event = TurnEvent(1, "turn.started", datetime.now(UTC), {})
        log.append("c", numbered(3), "an attempt", [event])
        log.read("c", numbered(3), after=1)
        log.remove("c", numbered(3))
    return seen


def _incompressible(size: int) -> str:
    import random

    return random.Random(1).randbytes(size // 2).hex()


def test_store_and_log_have_no_other_way_to_their_table() -> None:
    from parley.memory import dynamodb_table

    called = set(re.findall(r"self\._client\.(\w+)\(", inspect.getsource(dynamodb_table)))
    elsewhere = [
        file.name
        for folder in ("memory", "events")
        for file in (PARLEY / folder).glob("*.py")
        if "_client." in file.read_text() and file.name != "dynamodb_table.py"
    ]

    assert called == {
        "batch_get_item",
        "batch_write_item",
        "delete_item",
        "describe_table",
        "put_item",
        "query",
        "scan",
        "update_item",
    }
    assert elsewhere == []
