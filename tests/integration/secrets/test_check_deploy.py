"""What `make check-deploy` says of a deployment's secrets, database and issuer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import psycopg
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from parley.testing.postgres import database_name
from parley_deploy.account import deployed_parameters
from parley_deploy.check import faults
from parley_testing.api.pages import Pages
from parley_testing.postgres.databases import owner_url

REGION = "eu-west-1"
PASSWORD = "c0rrect-h0rse"
MISSING = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:missing"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws(config={"core": {"passthrough": {"urls": ["http://127.0.0.1"]}}}):
        yield


def given(database: str, **others: str) -> dict[str, str]:
    """Keep both secrets and give a deployment's parameters."""
    client = boto3.client("secretsmanager")
    arns = [
        client.create_secret(Name=name, SecretString=value)["ARN"]
        for name, value in (("database", database), ("openai", "sk-key"))
    ]
    return {"DatabaseSecretArn": arns[0], "OpenAiSecretArn": arns[1], **others}


def said_of(
    parameters: dict[str, str], deployed: Callable[[], Any] = lambda: None
) -> tuple[int, dict[str, str]]:
    lines: list[str] = []
    found = faults(parameters, deployed, lines.append)
    assert PASSWORD not in "\n".join(lines)
    return found, dict(line.split(": ", 1) for line in lines)


@pytest.fixture
def issuer() -> Iterator[Pages]:
    """An issuer on loopback, whose documents a test can change."""

    with Pages() as server:
        key = {"kty": "oct", "k": "c2VjcmV0", "kid": "1", "use": "sig", "alg": "HS256"}
        server.pages = {
            "/.well-known/openid-configuration": {
                "issuer": server.url,
                "jwks_uri": f"{server.url}/keys",
            },
            "/keys": {"keys": [key]},
        }
        yield server


def test_what_can_be_used_is_said_to_be(database_url: str, issuer: Pages) -> None:
    found, said = said_of(given(owner_url(database_url), OidcIssuer=issuer.url))

    assert found == 0, said
    assert said["the model's secret"] == said["the database's secret"] == "fetched"
    assert said["the database"].startswith("connected")
    assert said["the issuer"] == "its keys were fetched"


def test_a_secret_that_is_not_there_is_named_and_its_database_is_not_tried() -> None:
    found, said = said_of(given("x") | {"DatabaseSecretArn": MISSING})

    assert found == 1
    assert said["the database's secret"].startswith("FAILED")
    assert MISSING in said["the database's secret"]
    assert said["the database"].startswith("not tried")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"postgresql://parley:{PASSWORD}@127.0.0.1:1/parley", "Nothing listens"),
        (f"postgresql://parley:{PASSWORD}@127.0.0.1:{PASSWORD}/parley", "cannot be read"),
        (f"postgresql://parley:@{PASSWORD}@127.0.0.1/parley", "more than one @"),
        (PASSWORD, "neither a URL nor a JSON object"),
    ],
)
def test_a_database_that_cannot_be_used_is_a_sentence(url: str, words: str) -> None:
    found, said = said_of(given(url))

    assert found == 1
    assert said["the database"].startswith("FAILED")
    assert words in said["the database"]


def test_a_database_in_a_vpc_is_not_called_broken_from_outside() -> None:
    url = f"postgresql://parley:{PASSWORD}@127.0.0.1:1/parley"

    found, said = said_of(given(url, SubnetIds="subnet-1"))

    assert found == 0
    assert said["the database"].startswith("not tried")


def test_a_user_who_may_not_make_tables_is_found_out(
    database_url: str, sql: psycopg.Connection
) -> None:
    role = f"{database_name(database_url)}_reader"
    sql.execute(f"CREATE ROLE {role} LOGIN")

    found, said = said_of(given(owner_url(database_url).replace("postgres@", f"{role}@")))

    assert found == 1
    assert "GRANT CREATE ON SCHEMA public" in said["the database"]
    sql.execute(f"DROP ROLE {role}")


def test_an_issuer_of_another_name_is_found_out(database_url: str, issuer: Pages) -> None:
    issuer.pages["/.well-known/openid-configuration"]["issuer"] = "https://elsewhere"

    found, said = said_of(given(owner_url(database_url), OidcIssuer=issuer.url))

    assert found == 1
    assert said["the issuer"].startswith("FAILED")
    assert issuer.url in said["the issuer"]


def run_time_role_of(owner: str, runtime: str) -> tuple[int, str]:
    """Return what is said of a run-time secret that holds this, and how many things failed."""
    kept = boto3.client("secretsmanager").create_secret(Name="runtime", SecretString=runtime)
    found, said = said_of(given(owner, DatabaseRuntimeSecretArn=kept["ARN"]))
    return found, said["the run-time role"]


def test_without_a_run_time_role_it_is_said_what_one_would_guard(database_url: str) -> None:
    found, said = said_of(given(owner_url(database_url)))

    assert found == 0
    assert "log in as the database's owner" in said["the run-time role"]
    assert "DatabaseRuntimeSecretArn" in said["the run-time role"]


def test_the_role_that_the_stack_has_is_the_one_that_is_tried(database_url: str) -> None:
    owner = owner_url(database_url)
    runtime = owner.replace("postgres@", f"app:{PASSWORD}@")
    kept = boto3.client("secretsmanager").create_secret(Name="runtime", SecretString=runtime)
    template = {
        "Parameters": {"DatabaseRuntimeSecretArn": {"Type": "String"}},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    }
    client = boto3.client("cloudformation")
    client.create_stack(
        StackName="parley",
        TemplateBody=json.dumps(template),
        Parameters=[
            {"ParameterKey": "DatabaseRuntimeSecretArn", "ParameterValue": kept["ARN"]},
        ],
    )

    found, said = said_of(given(owner), lambda: deployed_parameters(client, "parley"))

    assert found == 0
    assert said["the stack"].startswith("is there")
    assert said["the run-time role"] == "migrate makes app and app_service, or finds them"


def test_of_a_stack_that_cannot_be_read_nothing_is_said(database_url: str) -> None:
    def refused() -> Any:
        answer: Any = {"Error": {"Code": "AccessDenied", "Message": "no"}}
        raise ClientError(answer, "DescribeStacks")

    found, said = said_of(given(owner_url(database_url)), refused)

    assert found == 0
    assert "AccessDenied" in said["the stack"]
    assert said["the run-time role"].startswith("not tried")


def test_both_logins_of_a_run_time_secret_are_named(database_url: str) -> None:
    owner = owner_url(database_url)

    found, said = run_time_role_of(owner, owner.replace("postgres@", f"app.tenant:{PASSWORD}@"))

    assert (found, said) == (0, "migrate makes app and app_service, or finds them")


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (f"postgres:{PASSWORD}@", "names the owner"),
        ("parley_app@", "holds no password"),
        ("", "names no user"),
        (f"parley_app:{PASSWORD}@{PASSWORD}@", "more than one @"),
    ],
)
def test_a_run_time_secret_that_cannot_be_used_is_a_sentence(
    database_url: str, user: str, words: str
) -> None:
    owner = owner_url(database_url)

    found, said = run_time_role_of(owner, owner.replace("postgres@", user))

    assert found == 1
    assert said.startswith("FAILED")
    assert words in said


def test_a_run_time_secret_that_is_not_there_is_named(database_url: str) -> None:
    parameters = given(owner_url(database_url), DatabaseRuntimeSecretArn=MISSING)

    found, said = said_of(parameters)

    assert found == 1
    assert said["the run-time role"].startswith("FAILED")
    assert MISSING in said["the run-time role"]


def test_a_run_time_secret_of_another_database_is_said_to_be_untried(database_url: str) -> None:
    elsewhere = f"postgresql://parley_app:{PASSWORD}@127.0.0.1:1/parley"

    found, said = run_time_role_of(owner_url(database_url), elsewhere)

    assert found == 0
    assert said.startswith("not tried")
    assert "another host or database" in said
