"""Settings that no budget can hold are refused when a function starts."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from parley.config import Settings, load_settings

TOKENS = ("TURN_MAX_TOKENS", "USER_TOKENS_PER_DAY", "USER_TOKENS_PER_MONTH", "BUDGET_ANSWER_TOKENS")
DOLLARS = ("TURN_MAX_USD", "USER_USD_PER_DAY", "USER_USD_PER_MONTH", "DEPLOYMENT_USD_PER_DAY")


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("given", ["-1", "99999999999999999999999", "many"])
def test_tokens_that_no_column_holds_are_refused(
    name: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, given)

    with pytest.raises(ValidationError, match=name.lower()):
        Settings.of(os.environ)


@pytest.mark.parametrize("name", DOLLARS)
@pytest.mark.parametrize("given", ["0.0000000001", "1e-400", "0.1234567891", "-1", "nan"])
def test_dollars_that_are_no_whole_nanodollars_are_refused(
    name: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Cut, the least of them would be a budget of 0, which is none.
    monkeypatch.setenv(name, given)

    with pytest.raises(ValidationError, match=name.lower()):
        Settings.of(os.environ)


@pytest.mark.parametrize("name", DOLLARS)
def test_a_nanodollar_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "0.000000001")

    assert getattr(Settings.of(os.environ), name.lower()) > 0


def test_names_are_taken_in_any_case_and_what_is_empty_is_none() -> None:
    settings = Settings.of({"Database_URL": "postgresql://here", "LOG_FORMAT": "", "LANG": "C"})

    assert settings.database_url is not None
    assert settings.log_format == "json"


@pytest.mark.parametrize("given", ["models.example", "ftp://models.example", "http://"])
def test_where_models_are_is_an_address(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", given)

    with pytest.raises(ValueError, match="OPENAI_BASE_URL must be an address"):
        load_settings()


def test_an_address_of_models_is_taken() -> None:
    assert Settings.of({"OPENAI_BASE_URL": "http://localhost:11434/v1"}).openai_base_url == (
        "http://localhost:11434/v1"
    )
