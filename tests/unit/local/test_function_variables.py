"""What the functions of `make dev` get of the environment of the shell that started it."""

from __future__ import annotations

import os
from pathlib import Path

import botocore.session
import pytest

from parley_local.function_variables import function_variables


def variables(**caller: str) -> dict[str, str]:
    return function_variables(
        caller,
        data_dir=Path("data"),
        runtime_url="postgresql+psycopg://y",
        jwks_url="http://k",
        queue_url="http://127.0.0.1:1/123456789012/Wake-ups",
    )


def test_without_a_key_the_offline_model_serves() -> None:
    assert variables()["OFFLINE_MODEL"] == "true"


def test_the_offline_model_can_be_asked_for_in_spite_of_a_key() -> None:
    found = variables(OPENAI_API_KEY="k", OFFLINE_MODEL="true")

    assert found["OFFLINE_MODEL"] == "true"
    assert "OPENAI_API_KEY" not in found


def test_with_a_key_the_models_variables_pass_as_they_are() -> None:
    found = variables(
        OPENAI_API_KEY="k", OPENAI_BASE_URL="http://m", OPENAI_MODEL="m", OPENAI_ORG_ID="o"
    )

    assert "OFFLINE_MODEL" not in found
    assert (found["OPENAI_API_KEY"], found["OPENAI_BASE_URL"]) == ("k", "http://m")
    assert (found["OPENAI_MODEL"], found["OPENAI_ORG_ID"]) == ("m", "o")


def test_nothing_deployed_is_touched_whatever_the_shell_has_set() -> None:
    found = variables(
        DATABASE_URL="postgresql://production",
        DATABASE_SECRET_ARN="arn",
        DATABASE_RUNTIME_URL="postgresql://production",
        DATABASE_RUNTIME_SECRET_ARN="arn",
        OPENAI_SECRET_ARN="arn",
        AGENT_SESSION_STORE="dynamodb",
        AGENT_SESSION_TABLE="production",
        OIDC_ISSUER="https://production",
        AWS_PROFILE="production",
        AWS_ACCESS_KEY_ID="production",
        AWS_SECRET_ACCESS_KEY="secret",
        AWS_SESSION_TOKEN="secret",
        AWS_ENDPOINT_URL="https://production",
        AWS_ENDPOINT_URL_SQS="https://production",
        WAKE_QUEUE_URL="https://production",
    )

    assert "DATABASE_URL" not in found, "which is the owner's, and migrations' alone"
    assert found["DATABASE_RUNTIME_URL"] == "postgresql+psycopg://y"
    assert found["AGENT_SESSION_STORE"] == "sqlite"
    assert found["OIDC_ISSUER"] == "urn:parley:local-issuer"
    assert found["OIDC_JWKS_URL"] == "http://k"
    assert not {name for name in found if name.endswith("_ARN")}
    assert not {"AGENT_SESSION_TABLE", "AWS_PROFILE", "AWS_SESSION_TOKEN"} & found.keys()
    assert not {name for name, value in found.items() if "production" in value or value == "secret"}


def test_the_wakeup_is_the_local_queue() -> None:
    found = variables()

    assert found["WAKE_QUEUE_URL"] == "http://127.0.0.1:1/123456789012/Wake-ups"
    assert found["AWS_ENDPOINT_URL_SQS"] == "http://127.0.0.1:1/"


def test_a_template_without_a_queue_has_no_wakeup() -> None:
    found = function_variables(
        {},
        data_dir=Path("data"),
        runtime_url="postgresql+psycopg://y",
        jwks_url="http://k",
    )

    assert not {"WAKE_QUEUE_URL", "AWS_ENDPOINT_URL_SQS"} & found.keys()


def test_boto3_finds_no_credentials_but_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".aws").mkdir()
    for name in ("credentials", "config"):
        (tmp_path / ".aws" / name).write_text(
            "[default]\naws_access_key_id = real\naws_secret_access_key = real\n"
        )
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in variables(HOME=str(tmp_path)).items():
        monkeypatch.setenv(name, value)

    session = botocore.session.Session()

    credentials = session.get_credentials()
    assert credentials is not None
    assert credentials.access_key == "local"
    assert session.full_config["profiles"] == {}


def test_other_settings_pass_through() -> None:
    found = variables(MESSAGE_MAX_CHARS="9", TURN_TIMEOUT_SECONDS="3", EDITOR="vi")

    assert (found["MESSAGE_MAX_CHARS"], found["TURN_TIMEOUT_SECONDS"]) == ("9", "3")
    assert "EDITOR" not in found


def test_the_log_level_goes_over_the_templates() -> None:
    assert variables(LOG_LEVEL="DEBUG")["POWERTOOLS_LOG_LEVEL"] == "DEBUG"
    assert "POWERTOOLS_LOG_LEVEL" not in variables()


def test_this_machine_is_reached_without_the_proxy() -> None:
    found = variables(HTTP_PROXY="http://proxy", NO_PROXY="example.com")

    assert found["HTTP_PROXY"] == "http://proxy"
    assert found["NO_PROXY"] == "example.com,127.0.0.1,localhost,::1"


def test_memory_has_an_absolute_path_since_functions_run_elsewhere() -> None:
    assert Path(variables()["AGENT_SESSION_DB_PATH"]).is_absolute()
