"""Configuration: one typed model of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from parley.errors import MissingSetting
from parley.manifest import OnOff
from parley.project_variables import require_variables
from parley.refusals import reason_of
from parley.timing import STATEMENT_SECONDS

_TOKENS_MAX = 10**15
_USD_MAX = 1_000_000

Need = Literal["owner", "database", "memory", "model", "queue", "issuer", "project"]


class Settings(BaseModel):
    """Every setting, named as in the environment. docs/configuration.md says what each is for."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    database_url: SecretStr | None = None
    database_secret_arn: str | None = None
    database_runtime_url: SecretStr | None = None
    database_runtime_secret_arn: str | None = None
    database_statement_timeout_seconds: float = Field(STATEMENT_SECONDS, ge=0)

    agent_session_store: Literal["dynamodb", "sqlite"] = "dynamodb"
    agent_session_table: str | None = None
    agent_session_db_path: Path | None = None
    agent_session_max_messages: int = Field(200, ge=2, le=2000)
    agent_session_max_bytes: int = Field(1_000_000, ge=10_000, le=10_000_000)
    agent_session_low_mark_percent: int = Field(60, ge=10, le=90)

    memory_summary: OnOff = "off"
    memory_summary_model: str | None = None
    worker_concurrency: int = Field(4, ge=1, le=1000)

    agent_session_retention_days: int = Field(7, ge=1, le=3650)
    agent_session_cleanup_hour: int = Field(2, ge=0, le=23)
    session_retention_days: int = Field(30, ge=1, le=3650)
    empty_session_retention_hours: int = Field(24, ge=1, le=87_600)
    audit_retention_days: int = Field(365, ge=1, le=3650)

    turn_max_crashes: int = Field(3, ge=1)
    approval_expires_days: float = Field(7, gt=0, le=3650)
    turn_timeout_seconds: float = Field(300, gt=0)
    tool_output_max_bytes: int = Field(100_000, ge=1_000, le=1_000_000)
    tool_calls_max_per_step: int = Field(32, ge=1, le=128)
    mcp_timeout_seconds: float = Field(30, gt=0, le=300)
    mcp_tools_believed_seconds: float = Field(300, ge=0)
    message_max_chars: int = Field(32_000, ge=1, le=200_000)

    turn_max_model_calls: int = Field(0, ge=0)
    turn_max_tokens: int = Field(0, ge=0, le=_TOKENS_MAX)
    user_tokens_per_day: int = Field(0, ge=0, le=_TOKENS_MAX)
    user_tokens_per_month: int = Field(0, ge=0, le=_TOKENS_MAX)
    turn_max_usd: Decimal = Field(Decimal(0), ge=0, le=_USD_MAX, decimal_places=9)
    user_usd_per_day: Decimal = Field(Decimal(0), ge=0, le=_USD_MAX, decimal_places=9)
    user_usd_per_month: Decimal = Field(Decimal(0), ge=0, le=_USD_MAX, decimal_places=9)
    deployment_tokens_per_day: int = Field(0, ge=0, le=_TOKENS_MAX)
    deployment_tokens_per_month: int = Field(0, ge=0, le=_TOKENS_MAX)
    deployment_usd_per_day: Decimal = Field(Decimal(0), ge=0, le=_USD_MAX, decimal_places=9)
    deployment_usd_per_month: Decimal = Field(Decimal(0), ge=0, le=_USD_MAX, decimal_places=9)
    budget_answer_tokens: int = Field(4_096, ge=1, le=2**31 - 1)

    user_max_open_turns: int = Field(50, ge=0, le=10_000)
    user_turns_per_minute: int = Field(60, ge=0, le=600)
    user_max_sessions: int = Field(10_000, ge=0, le=1_000_000)
    user_max_metadata_bytes: int = Field(2_000_000, ge=0, le=100_000_000)
    user_max_streams: int = Field(20, ge=0, le=1000)

    openai_api_key: SecretStr | None = None
    openai_secret_arn: str | None = None
    openai_base_url: str | None = None
    openai_model: str | None = None
    openai_api: Literal["responses", "chat_completions"] = "responses"
    openai_reasoning: Literal["auto", "returned", "dropped"] = "auto"
    model_answer_max_chars: int = Field(2_000_000, ge=10_000)
    model_prices: str = ""
    offline_model: bool = False
    offline_model_words_per_second: float | None = Field(None, gt=0, le=1000)

    wake_queue_url: str | None = None
    escalation_topic_arn: str | None = None

    oidc_issuer: str | None = None
    oidc_audience: str | None = None
    oidc_jwks_url: str | None = None

    page_client_id: str | None = None
    page_scope: str = "openid"
    page_admin_scope: str = "parley:admin"
    page_sign_in_origins: str = ""

    log_format: Literal["json", "text"] = "json"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read an environment: in any case, a variable that is empty is none.

        Raises:
            ValidationError: A setting's value cannot be used.
        """
        given = {name.lower(): value for name, value in environment.items() if value}
        return cls.model_validate({name: given[name] for name in cls.model_fields if name in given})

    @field_validator("openai_base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        from pydantic import AnyHttpUrl, TypeAdapter  # of no use to most functions

        try:
            return str(TypeAdapter(AnyHttpUrl).validate_python(value))
        except ValidationError as error:
            reason = reason_of(error.errors()[0])
            raise PydanticCustomError("no_address", "{reason}", {"reason": reason}) from None

    @field_validator("model_prices")
    @classmethod
    def _are_prices(cls, value: str) -> str:
        if value:
            from parley.usage.prices import own_prices  # of no use to most functions

            try:
                own_prices(value)
            except ValueError as error:
                raise PydanticCustomError("no_prices", "{fault}", {"fault": str(error)}) from None
        return value

    def require(self, *needs: Need) -> Self:
        """Return these settings if they hold what is needed.

        Raises:
            MissingSetting: Names the first setting that is not there.
        """
        for need in needs:
            _REQUIREMENTS[need](self)
        return self


def _owner(settings: Settings) -> None:
    if not (settings.database_url or settings.database_secret_arn):
        raise MissingSetting("DATABASE_URL or DATABASE_SECRET_ARN", "where Postgres is")


def _database(settings: Settings) -> None:
    if not (settings.database_runtime_url or settings.database_runtime_secret_arn):
        _owner(settings)


def _memory(settings: Settings) -> None:
    if settings.agent_session_store == "dynamodb" and not settings.agent_session_table:
        raise MissingSetting("AGENT_SESSION_TABLE", "the DynamoDB table that holds memory")
    if settings.agent_session_store == "sqlite" and not settings.agent_session_db_path:
        raise MissingSetting("AGENT_SESSION_DB_PATH", "the SQLite file that holds memory")


def _model(settings: Settings) -> None:
    if not (settings.openai_api_key or settings.openai_secret_arn or settings.offline_model):
        raise MissingSetting(
            "OPENAI_API_KEY or OPENAI_SECRET_ARN", "the model's key (or OFFLINE_MODEL=true)"
        )


def _queue(settings: Settings) -> None:
    if not settings.wake_queue_url:
        raise MissingSetting("WAKE_QUEUE_URL", "the queue through which the worker is woken")


def _issuer(settings: Settings) -> None:
    if not settings.oidc_issuer:
        raise MissingSetting("OIDC_ISSUER", "whose tokens are believed")
    if not settings.oidc_audience:
        raise MissingSetting("OIDC_AUDIENCE", "for whom the tokens must be made")


def _project(_: Settings) -> None:
    require_variables()


_REQUIREMENTS = {
    "owner": _owner,
    "database": _database,
    "memory": _memory,
    "model": _model,
    "queue": _queue,
    "issuer": _issuer,
    "project": _project,
}


def load_settings(*needs: Need) -> Settings:
    """Read the environment.

    Args:
        needs: What the process cannot do without.

    Raises:
        MissingSetting: A needed setting is not there.
        ValueError: A setting's value cannot be used; the message names it.
    """
    try:
        settings = Settings.of(os.environ)
    except ValidationError as error:
        faults = "; ".join(
            f"{str(fault['loc'][0]).upper()} {reason_of(fault)}" for fault in error.errors()
        )
        raise ValueError(f"Settings that cannot be used: {faults}") from None
    return settings.require(*needs)
