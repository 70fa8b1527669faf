"""A deployment's surroundings, in which functions are frozen and copied."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from parley_testing.account.moto import REGION, Account, memory_table
from parley_testing.models.server import ModelServer
from parley_testing.models.steps import Said


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A model's server that says the same to everybody."""
    with ModelServer(lambda asked: Said("Hello.")) as server:
        yield server


@pytest.fixture
def account(sqs: str) -> Account:
    """The account's stores."""
    return Account(sqs)


@pytest.fixture
def surroundings(
    database_url: str, account: Account, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """What a deployment's functions find: Postgres, AWS and a model."""
    for name, value in {
        "AWS_ENDPOINT_URL": account.url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "DATABASE_RUNTIME_URL": database_url,
        "WAKE_QUEUE_URL": account.queue(),
        "OPENAI_API_KEY": "testing",
        "OPENAI_BASE_URL": model.base_url,
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AGENT_SESSION_TABLE", memory_table(boto3.client("dynamodb")))
    return monkeypatch
