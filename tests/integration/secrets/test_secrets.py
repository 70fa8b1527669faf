"""Secrets are fetched when they are wanted, and again when somebody is refused with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from agents import Agent, RunConfig, Runner
from moto import mock_aws
from sqlalchemy import text

from parley.agents.provider import model_provider
from parley.composition import Composition
from parley.config import Settings
from parley.errors import StoreUnavailable
from parley.repository.scope import SERVICE
from parley.secrets import Secret, database_url
from parley_local.postgres import EmbeddedPostgres
from parley_testing.models.server import Asked, ModelServer, Raw, Said, Step
from parley_testing.postgres.databases import owner_url

REGION = "eu-west-1"
MISSING = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:missing"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield


def kept(value: str) -> str:
    """Keep a secret in Secrets Manager and give its ARN."""
    arn: str = boto3.client("secretsmanager").create_secret(Name="s", SecretString=value)["ARN"]
    return arn


def rotate(arn: str, value: str) -> None:
    boto3.client("secretsmanager").put_secret_value(SecretId=arn, SecretString=value)


def test_a_secret_of_secrets_manager_is_fetched_once(aws: None) -> None:
    arn = kept("first")
    secret = Secret(arn)
    assert secret.value == "first"

    rotate(arn, "second")

    assert secret.value == "first"


def test_renewing_tells_whether_the_secret_has_changed(aws: None) -> None:
    arn = kept("first")
    secret = Secret(arn)
    assert secret.value == "first"

    assert not secret.renew()
    rotate(arn, "second")
    assert secret.renew()
    assert secret.value == "second"


def test_a_secure_string_of_the_parameter_store_is_decrypted(aws: None) -> None:
    boto3.client("ssm").put_parameter(Name="/parley/key", Value="sk-1", Type="SecureString")

    secret = Secret(f"arn:aws:ssm:{REGION}:123456789012:parameter/parley/key")

    assert secret.value == "sk-1"


def test_a_secret_that_cannot_be_had_is_named(aws: None) -> None:
    with pytest.raises(StoreUnavailable, match="secret:missing"):
        _ = Secret(MISSING).value


def test_the_json_that_rds_keeps_becomes_a_url() -> None:
    fields = {"username": "pat", "password": "a/b@c", "host": "db", "port": 5433, "dbname": "x"}

    assert database_url(json.dumps(fields)) == (
        "postgresql://pat:a%2Fb%40c@db:5433/x?sslmode=require"
    )


@pytest.mark.parametrize("secret", ["", "{}", "hunter2", '{"username": "pat"}', "[1]"])
def test_what_is_no_database_s_secret_is_refused_without_telling_it(secret: str) -> None:
    with pytest.raises(ValueError, match="neither a URL nor a JSON object") as caught:
        database_url(secret)

    assert "hunter2" not in str(caught.value)


@pytest.fixture
def role(postgres: EmbeddedPostgres, database_url: str) -> Iterator[str]:
    """A role that logs in with a password, which is `before`."""
    url = postgres.url("postgres").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE rotated LOGIN SUPERUSER PASSWORD 'before'")
        (rules,) = connection.execute("SHOW hba_file").fetchone() or ("",)
        path = Path(rules)
        usual = path.read_text()
        path.write_text(f"local all rotated scram-sha-256\n{usual}")
        connection.execute("SELECT pg_reload_conf()")
        yield owner_url(database_url).replace("postgres@", "rotated:{}@")
        path.write_text(usual)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("DROP ROLE rotated")


def test_a_rotated_database_password_is_fetched_anew(
    aws: None, role: str, sql: psycopg.Connection
) -> None:
    arn = kept(role.format("before"))
    database = Composition(Settings(database_secret_arn=arn)).database
    assert database.run(SERVICE, text("SELECT 1"))
    database.close()  # as an idle connection is closed after a while
    sql.execute("ALTER ROLE rotated PASSWORD 'after'")
    rotate(arn, role.format("after"))

    assert database.run(SERVICE, text("SELECT current_user")) == [("rotated",)]
    database.close()


def test_a_password_that_is_wrong_for_good_is_a_store_that_cannot_serve(
    aws: None, role: str
) -> None:
    database = Composition(Settings(database_secret_arn=kept(role.format("wrong")))).database

    with pytest.raises(StoreUnavailable):
        database.run(SERVICE, text("SELECT 1"))


def test_a_rotated_model_key_is_fetched_anew(aws: None) -> None:
    arn, good = kept("sk-before"), ["sk-before"]

    def script(asked: Asked) -> Step:
        return Said("Hello") if asked.key == good[0] else Raw(401)

    with ModelServer(script) as server:
        settings = Settings.model_validate(
            {"openai_secret_arn": arn, "openai_base_url": server.base_url}
        )
        config = RunConfig(model_provider=model_provider(settings), tracing_disabled=True)

        async def ask() -> Any:
            before = await Runner.run(Agent(name="a"), "Hi", run_config=config)
            rotate(arn, "sk-after")
            good[0] = "sk-after"
            after = await Runner.run(Agent(name="a"), "Hi", run_config=config)
            await config.model_provider.aclose()
            return before.final_output, after.final_output

        answers = asyncio.run(ask())

    assert answers == ("Hello", "Hello")
    assert [asked.key for asked in server.asked] == ["sk-before", "sk-before", "sk-after"]
