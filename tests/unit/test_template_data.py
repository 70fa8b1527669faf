"""What template.yaml keeps: memory, users, and the schema that the code needs."""

from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from parley_testing.account.template import (
    FUNCTIONS,
    MONITORING,
    PARAMETERS,
    RESOURCES,
    ROOT,
    translated,
)

KEPT = ("MemoryTable", "UserPool")
OF_COGNITO = ("UserPool", "UserPoolClient", "Administrators")


def events_of_migration() -> dict[str, Any]:
    folder = ROOT / "events" / "migrate"
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def newest_revision() -> str:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "functions/migrate/migrations"))
    head = ScriptDirectory.from_config(config).get_current_head()
    assert head is not None
    return head


@pytest.mark.parametrize("name", KEPT)
def test_data_outlives_the_stack_but_not_a_first_deployment_that_failed(name: str) -> None:
    resource = translated()["Resources"][name]

    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resource["UpdateReplacePolicy"] == "Retain"


def test_memory_is_kept_by_the_table_that_the_store_writes() -> None:
    properties = RESOURCES["MemoryTable"]["Properties"]

    keys = {key["KeyType"]: key["AttributeName"] for key in properties["KeySchema"]}
    assert keys == {"HASH": "conversation", "RANGE": "part"}


def test_memory_costs_nothing_while_idle_is_encrypted_and_can_be_brought_back() -> None:
    properties = RESOURCES["MemoryTable"]["Properties"]

    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    # Without it DynamoDB takes a key of its own; with it one of the account's, which costs.
    assert "SSESpecification" not in properties


def test_data_refuses_to_be_deleted_once_a_deployment_says_so() -> None:
    # Not by default: what a failed first deployment takes back must not refuse.
    table, pool = (RESOURCES[name]["Properties"] for name in KEPT)

    assert table["DeletionProtectionEnabled"] == {"Fn::If": ["ProtectsData", True, False]}
    assert pool["DeletionProtection"] == {"Fn::If": ["ProtectsData", "ACTIVE", "INACTIVE"]}
    assert PARAMETERS["DeletionProtection"]["Default"] == "false"


def test_memory_and_the_events_of_turns_end_by_themselves() -> None:
    ends = RESOURCES["MemoryTable"]["Properties"]["TimeToLiveSpecification"]

    assert ends == {"AttributeName": "expires_at", "Enabled": True}
    for module in ("events/dynamodb.py", "memory/dynamodb_header.py", "memory/dynamodb_chunks.py"):
        written = (ROOT / "layers/shared/python/parley" / module).read_text()
        assert f'"{ends["AttributeName"]}": ' in written


def test_the_schemas_revision_is_the_newest_of_the_code() -> None:
    # A literal: a parameter would keep its old value, and the migration would not run again.
    assert RESOURCES["Migration"]["Properties"]["Revision"] == newest_revision()


@pytest.mark.parametrize("function", ["Sessions", "Messages", "Stream", "Worker", "Cleanup"])
def test_code_that_uses_the_schema_comes_after_its_migration(function: str) -> None:
    assert translated()["Resources"][function]["DependsOn"] == "Migration"


def test_the_migration_outlasts_its_function() -> None:
    # Otherwise the stack gives up before the function could say FAILED and why.
    assert RESOURCES["Migration"]["Properties"]["ServiceTimeout"] > FUNCTIONS["Migrate"]["Timeout"]


def test_another_database_is_migrated_too() -> None:
    assert RESOURCES["Migration"]["Properties"]["Database"] == {"Ref": "DatabaseSecretArn"}


def test_another_run_time_role_is_made_too() -> None:
    role = RESOURCES["Migration"]["Properties"]["RuntimeRole"]

    assert role == {"Ref": "DatabaseRuntimeSecretArn"}


@pytest.mark.parametrize("kind", ["create", "update", "delete"])
def test_an_event_of_the_migration_is_what_cloudformation_sends(kind: str) -> None:
    event = events_of_migration()[kind]
    properties = RESOURCES["Migration"]["Properties"]

    assert event["RequestType"] == kind.capitalize()
    assert event["ResourceType"] == RESOURCES["Migration"]["Type"]
    assert event["ResponseURL"].startswith("http://127.0.0.1:")
    # CloudFormation turns every property into a string.
    assert event["ResourceProperties"] == {
        "ServiceToken": event["ServiceToken"],
        "ServiceTimeout": str(properties["ServiceTimeout"]),
        "Revision": properties["Revision"],
        "Database": event["ResourceProperties"]["Database"],
        "RuntimeRole": event["ResourceProperties"]["RuntimeRole"],
    }
    assert ("PhysicalResourceId" in event) == (kind != "create")


def test_an_event_of_the_migration_names_the_schema_as_the_function_does() -> None:
    tree = ast.parse(Path(ROOT / "functions/migrate/app.py").read_text())
    (name,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PHYSICAL_ID"
    )

    events = events_of_migration()

    assert {events[kind]["PhysicalResourceId"] for kind in ("update", "delete")} == {name}


@pytest.mark.parametrize("name", OF_COGNITO)
def test_users_are_cognitos_only_without_an_issuer_of_ones_own(name: str) -> None:
    assert RESOURCES[name]["Condition"] == "MakesUserPool"


def test_the_authorizer_believes_the_user_pool_where_there_is_one() -> None:
    given = FUNCTIONS["Authorizer"]["Environment"]["Variables"]

    assert given["OIDC_ISSUER"]["Fn::If"] == [
        "MakesUserPool",
        # As it stands in the pool's tokens.
        {"Fn::Sub": "https://cognito-idp.${AWS::Region}.${AWS::URLSuffix}/${UserPool}"},
        {"Ref": "OidcIssuer"},
    ]
    assert given["OIDC_AUDIENCE"]["Fn::If"] == [
        "MakesUserPool",
        {"Ref": "UserPoolClient"},
        {"Ref": "OidcAudience"},
    ]


def test_administrators_are_a_group_which_users_cannot_join_by_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "functions" / "authorizer"))
    tokens = importlib.import_module("tokens")

    assert RESOURCES["Administrators"]["Properties"]["GroupName"] == tokens.ADMINISTRATORS
    # Cognito gives a client's scopes to every user who asks for them: none of them is ours.
    client = RESOURCES["UserPoolClient"]["Properties"]
    _, scopes, otherwise = client["AllowedOAuthScopes"]["Fn::If"]
    assert set(scopes) == {"openid", "email", "profile"}
    assert otherwise == {"Ref": "AWS::NoValue"}
    assert not [kind for kind in RESOURCES.values() if "ResourceServer" in kind["Type"]]


def test_strangers_cannot_sign_up() -> None:
    pool = RESOURCES["UserPool"]["Properties"]

    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True


def test_nothing_else_is_made_than_what_is_named_here() -> None:
    # Each kind costs, or asks for rights, that docs/deploy.md speaks of.
    kinds = {resource["Type"] for resource in translated()["Resources"].values()}

    assert kinds == {
        "AWS::ApiGateway::Deployment",
        "AWS::ApiGateway::RestApi",
        "AWS::ApiGateway::Stage",
        "AWS::CloudFormation::Stack",
        "AWS::CloudWatch::Alarm",
        "AWS::Cognito::UserPool",
        "AWS::Cognito::UserPoolClient",
        "AWS::Cognito::UserPoolDomain",
        "AWS::Cognito::UserPoolGroup",
        "AWS::DynamoDB::Table",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Role",
        "AWS::Lambda::Alias",
        "AWS::Lambda::Function",
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::Permission",
        "AWS::Lambda::Version",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Logs::LogGroup",
        "AWS::SQS::Queue",
        "AWS::SQS::QueuePolicy",
        "AWS::Scheduler::Schedule",
        "AWS::WAFv2::WebACLAssociation",
        "Custom::Migration",
    }
    nested = {resource["Type"] for resource in MONITORING["Resources"].values()}
    assert nested == {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"}
