"""`make check-deploy`: tries what a deployment needs, before a stack is made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy import text

from parley.errors import ParleyError, StoreUnavailable
from parley.repository.address import parse_url, service_url
from parley.repository.database import Database
from parley.repository.diagnosis import diagnose
from parley.repository.roles import role_of
from parley.repository.scope import SERVICE
from parley.secrets import Secret, database_url
from parley_backend import backend

_OLDEST_SERVER = 150_000


class Fault(ParleyError):
    """Something that a deployment needs is not as it must be; the message says how."""


class Untried(ParleyError):
    """Something cannot be tried from this machine; the message says why."""


def faults(
    parameters: Mapping[str, str],
    deployed: Callable[[], Mapping[str, str] | None],
    say: Callable[[str], None],
) -> int:
    """Try each thing, say what came of it, and return how many cannot be used.

    Args:
        parameters: Those that were given.
        deployed: Asks AWS for those of the stack, None where there is none yet: what is not given
            keeps the value that it has there.
        say: Is told a line for each thing.
    """
    found = 0
    kept: Mapping[str, str] | None = None
    try:
        kept = deployed() or {}
    except (BotoCoreError, ClientError) as error:
        say(f"the stack: not tried. Whether it is there, and with what, cannot be read: {error}")
    else:
        said = "is there; what is not given stays as it is" if kept else "is not there yet"
        say(f"the stack: {said}")
    whole = {**(kept or {}), **parameters}
    for name, attempt in _attempts(whole, stack_known=kept is not None):
        try:
            say(f"{name}: {attempt()}")
        except Untried as why:
            say(f"{name}: not tried. {why}")
        except Fault as fault:
            found += 1
            say(f"{name}: FAILED. {fault}")
    return found


def _attempts(
    parameters: Mapping[str, str], *, stack_known: bool
) -> Iterator[tuple[str, Callable[[], str]]]:
    database, model = (
        Secret(parameters[name]) for name in ("DatabaseSecretArn", "OpenAiSecretArn")
    )
    runtime = parameters.get("DatabaseRuntimeSecretArn")
    yield "the model's secret", lambda: _fetched(model)
    yield "the database's secret", lambda: _fetched(database)
    yield "the database", lambda: _database(database, in_vpc=bool(parameters.get("SubnetIds")))
    if runtime is None and not stack_known:
        yield "the run-time role", _unknown
    else:
        yield "the run-time role", lambda: _runtime(database, Secret(runtime) if runtime else None)
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
    database = Database(lambda: database_url(secret.value), statement_timeout=10, as_owner=True)
    try:
        (row,) = database.run_once(
            SERVICE,
            text(
                "SELECT current_setting('server_version_num')::int,"
                " has_schema_privilege('public', 'CREATE'),"
                " to_regclass('public.alembic_version') IS NOT NULL"
            ),
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


def _unknown() -> str:
    raise Untried("None is given, and the stack, which may have one, could not be read.")


def _runtime(owner: Secret, runtime: Secret | None) -> str:
    if runtime is None:
        return (
            "none is given, and the stack has none, so the functions log in as the database's"
            " owner. Give DatabaseRuntimeSecretArn, and they may change no table and see one"
            " user's rows at a time (docs/deploy.md)."
        )
    _fetched(runtime)
    if "value" not in owner.__dict__:
        raise Untried("The database's secret could not be fetched.")
    try:
        own, functions = (parse_url(database_url(each.value)) for each in (owner, runtime))
        role = role_of(functions)
    except (ParleyError, ValueError) as error:
        raise Fault(str(error)) from error
    if (own.host, own.database) != (functions.host, functions.database):
        raise Untried("Its secret names another host or database than the owner's.")
    if role == role_of(own):
        raise Fault("Its secret names the owner. Name a user of its own, such as parley_app.")
    if not functions.password:
        raise Fault("Its secret holds no password.")
    return f"migrate makes {role} and {role_of(service_url(functions))}, or finds them"


def _issuer(issuer: str, jwks_url: str | None) -> str:
    authorizer = str(backend("functions", "authorizer"))
    if authorizer not in sys.path:
        sys.path.append(authorizer)
    keys = import_module("issuer_keys")
    try:
        keys.IssuerKeys(issuer, jwks_url).find("")
    except keys.KeysUnavailable as error:
        raise Fault(f"{error}.") from error
    return "its keys were fetched"
