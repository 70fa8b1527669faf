"""`make check-deploy`: tries what a deployment needs, before a stack is made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

from botocore.exceptions import BotoCoreError
from sqlalchemy import text

from parley.errors import StoreUnavailable
from parley.repository.database import Database
from parley.repository.diagnosis import diagnose
from parley.secrets import Secret, database_url

_AUTHORIZER = Path(__file__).parents[2] / "functions" / "authorizer"
_OLDEST_SERVER = 150_000


class Fault(Exception):
    """Something that a deployment needs is not as it must be; the message says how."""


class Untried(Exception):
    """Something cannot be tried from this machine; the message says why."""


def faults(parameters: Mapping[str, str], say: Callable[[str], None]) -> int:
    """Try each thing, say what came of it, and return how many cannot be used."""
    found = 0
    for name, attempt in _attempts(parameters):
        try:
            say(f"{name}: {attempt()}")
        except Untried as why:
            say(f"{name}: not tried. {why}")
        except Fault as fault:
            found += 1
            say(f"{name}: FAILED. {fault}")
    return found


def _attempts(parameters: Mapping[str, str]) -> Iterator[tuple[str, Callable[[], str]]]:
    database, model = (
        Secret(parameters[name]) for name in ("DatabaseSecretArn", "OpenAiSecretArn")
    )
    yield "the model's secret", lambda: _fetched(model)
    yield "the database's secret", lambda: _fetched(database)
    yield "the database", lambda: _database(database, in_vpc=bool(parameters.get("SubnetIds")))
    if parameters.get("OidcIssuer"):
        yield (
            "the issuer",
            lambda: _issuer(parameters["OidcIssuer"], parameters.get("OidcJwksUrl") or None),
        )


def _fetched(secret: Secret) -> str:
    try:
        if secret.value.strip():
            return "fetched"
    except (StoreUnavailable, BotoCoreError) as error:
        raise Fault(str(error)) from error
    raise Fault("It is empty.")


def _database(secret: Secret, *, in_vpc: bool) -> str:
    if "value" not in secret.__dict__:
        raise Untried("Its secret could not be fetched.")
    database = Database(lambda: database_url(secret.value), statement_timeout=10)
    try:
        (row,) = database.run_once(
            text(
                "SELECT current_setting('server_version_num')::int,"
                " has_schema_privilege('public', 'CREATE'),"
                " to_regclass('public.alembic_version') IS NOT NULL"
            )
        )
    except Exception as error:
        diagnosis = diagnose(error)
        if in_vpc and not diagnosis.lasts:
            raise Untried(
                f"It may be within reach of the VPC only: {diagnosis.sentence}"
            ) from error
        raise Fault(diagnosis.sentence) from error
    finally:
        database.close()
    version, creates, migrated = tuple(row)
    if version < _OLDEST_SERVER:
        raise Fault(f"Postgres is of version {version // 10_000}; 15 is the oldest that will do.")
    if not creates:
        raise Fault("Its user may not make tables: GRANT CREATE ON SCHEMA public TO the user.")
    return "connected" + (", with a schema of Parley's that will be brought up" if migrated else "")


def _issuer(issuer: str, jwks_url: str | None) -> str:
    if str(_AUTHORIZER) not in sys.path:
        sys.path.append(str(_AUTHORIZER))
    keys = import_module("issuer_keys")
    try:
        keys.IssuerKeys(issuer, jwks_url).find("")
    except keys.KeysUnavailable as error:
        raise Fault(f"{error}.") from error
    return "its keys were fetched"
