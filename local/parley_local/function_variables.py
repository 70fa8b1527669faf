"""The environment that `make dev` gives every function."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from parley.config import Settings
from parley_local.issuer import AUDIENCE, ISSUER
from parley_local.lambda_identity import REGION
from parley_local.log_lines import LogFormat

MEMORY_FILE = "memory.sqlite3"
"""Where memory is, in the data directory."""

# What a process needs of the machine: where programs, certificates, proxies and packages are.
_MACHINE = frozenset(
    {
        "PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
    }
)  # fmt: skip

# Settings that only `make dev` decides: a laptop's functions never touch what is deployed,
# whatever the shell that starts them has set for other work.
_OURS = frozenset(
    {
        "DATABASE_URL", "DATABASE_SECRET_ARN", "OPENAI_SECRET_ARN",
        "DATABASE_RUNTIME_URL", "DATABASE_RUNTIME_SECRET_ARN",
        "AGENT_SESSION_STORE", "AGENT_SESSION_TABLE", "AGENT_SESSION_DB_PATH",
        "OIDC_ISSUER", "OIDC_AUDIENCE", "OIDC_JWKS_URL", "WAKE_QUEUE_URL",
    }
)  # fmt: skip

# boto3 signs each request, also one to the local queue, and takes what it finds: with these it
# never comes to the developer's own credentials, in a shell's variables or in ~/.aws.
NO_ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_DEFAULT_REGION": REGION,
}
"""Variables that keep a process on this machine from any AWS account."""


def function_variables(
    caller: Mapping[str, str],
    *,
    data_dir: Path,
    runtime_url: str,
    jwks_url: str,
    queue_url: str | None = None,
    log_format: LogFormat = "json",
) -> dict[str, str]:
    """Return the variables for the functions' processes.

    Args:
        caller: The environment of `make dev` itself. Its settings pass through, except where
            Postgres, memory and the issuer are; its OPENAI_ variables pass as they are.
        data_dir: Where memory is kept.
        runtime_url: The embedded PostgreSQL, for the functions; its owner's URL is for migrations
            alone.
        jwks_url: Where the local issuer's keys are served.
        queue_url: The local queue, where the template has one.
        log_format: How the functions write their log.
    """
    settings = {name.upper() for name in Settings.model_fields} - _OURS
    variables = {
        name: value
        for name, value in caller.items()
        if name in _MACHINE
        or name in settings
        or name.startswith("LC_")
        or (name.startswith("OPENAI_") and name not in _OURS)
    }
    if uses_offline_model(caller):
        variables.pop("OPENAI_API_KEY", None)
        variables["OFFLINE_MODEL"] = "true"
        # Slowly enough to be seen streaming.
        variables.setdefault("OFFLINE_MODEL_WORDS_PER_SECOND", "30")
    if level := caller.get("LOG_LEVEL"):
        # The template names the second, which Powertools puts first.
        variables |= {"LOG_LEVEL": level, "POWERTOOLS_LOG_LEVEL": level}
    for name in ("NO_PROXY", "no_proxy"):
        # The authorizer fetches the issuer's keys from this machine, proxy or not.
        others = [caller[name]] if caller.get(name) else []
        variables[name] = ",".join([*others, "127.0.0.1", "localhost", "::1"])
    if queue_url is not None:
        variables |= {
            "WAKE_QUEUE_URL": queue_url,
            "AWS_ENDPOINT_URL_SQS": queue_url.rsplit("/", 2)[0] + "/",
        }
    return {
        **variables,
        **NO_ACCOUNT,
        "LOG_FORMAT": log_format,
        # Metrics are lines for CloudWatch; in a terminal they hide the logs.
        "POWERTOOLS_METRICS_DISABLED": "true",
        "DATABASE_RUNTIME_URL": runtime_url,
        "AGENT_SESSION_STORE": "sqlite",
        "AGENT_SESSION_DB_PATH": str((data_dir / MEMORY_FILE).resolve()),
        "OIDC_ISSUER": ISSUER,
        "OIDC_AUDIENCE": AUDIENCE,
        "OIDC_JWKS_URL": jwks_url,
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
    }


def uses_offline_model(caller: Mapping[str, str]) -> bool:
    """Return whether the functions run on the offline model: without a key, or if asked for."""
    asked = caller.get("OFFLINE_MODEL", "").lower() in ("1", "true", "yes", "on")
    return asked or not caller.get("OPENAI_API_KEY")
