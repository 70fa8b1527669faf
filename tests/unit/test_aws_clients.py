"""Clients of AWS: what making one looks at, and how long it waits."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from parley.aws_clients import Clients

_listed: list[str] = []
_watches = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watches and event == "os.listdir":
        _listed.append(str(arguments[0]))


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):  # else it asks the network for them
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


def test_a_client_is_made_without_looking_into_every_services_folder() -> None:
    global _watches
    sys.addaudithook(_watch)
    _watches = True
    try:
        clients = Clients()
        made = [clients.of("dynamodb"), clients.of("sqs"), clients.of("sns")]
    finally:
        _watches = False

    assert [each.meta.service_model.service_name for each in made] == ["dynamodb", "sqs", "sns"]
    assert len(_listed) < 40  # botocore alone lists more than four hundred


def test_it_gives_up_soon_and_tries_twice() -> None:
    config: Any = Clients().of("dynamodb").meta.config

    assert (config.connect_timeout, config.read_timeout) == (2, 3)
    assert config.retries["total_max_attempts"] == 2
