"""Secrets, fetched from where the deployment keeps them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from parley.errors import StoreUnavailable
from parley.once import made_once

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider, SSMProvider


class Secret:
    """A secret in Secrets Manager, or a SecureString in SSM's Parameter Store.

    It is fetched when first wanted and then kept. Whoever is refused with it calls `renew`: it may
    have been rotated since.
    """

    def __init__(self, arn: str) -> None:
        """Say which; nothing is fetched."""
        self._arn = arn

    @made_once
    def value(self) -> str:
        """The secret's text.

        Raises:
            StoreUnavailable: It cannot be had; the error names it.
        """
        # Importing this is half of a cold start, for those who have no secret to fetch.
        from aws_lambda_powertools.utilities import parameters

        # It is not kept there either, where the project's code may ask for the same: what stands in
        # for it while a function is primed would be in the snapshot.
        try:
            if ":ssm:" in self._arn:
                return str(
                    parameters.get_parameter(self._arn, decrypt=True, force_fetch=True, max_age=0)
                )
            return str(parameters.get_secret(self._arn, force_fetch=True, max_age=0))
        except parameters.GetParameterError as error:
            raise StoreUnavailable("secrets", f"{self._arn}: {error}") from error

    def renew(self) -> bool:
        """Fetch it again and tell whether it has changed."""
        before: str | None = self.__dict__.pop("value", None)
        now: str = self.value
        return now != before


def provider_of(arn: str) -> SecretsProvider | SSMProvider:
    """Return what fetches a secret, and those beside it; the first call makes its client."""
    from aws_lambda_powertools.utilities.parameters import SecretsProvider, SSMProvider
    from aws_lambda_powertools.utilities.parameters.constants import DEFAULT_PROVIDERS

    name, kind = ("ssm", SSMProvider) if ":ssm:" in arn else ("secrets", SecretsProvider)
    if name not in DEFAULT_PROVIDERS:
        DEFAULT_PROVIDERS[name] = kind()
    provider: SecretsProvider | SSMProvider = DEFAULT_PROVIDERS[name]
    return provider


def database_url(secret: str) -> str:
    """Read where Postgres is: a URL, or the JSON object that RDS keeps for a database.

    Raises:
        ValueError: It is neither.
    """
    if "://" in secret:
        return secret
    try:
        fields = json.loads(secret)
        user, password = (quote(fields[name], safe="") for name in ("username", "password"))
        host, port = fields["host"], fields.get("port", 5432)
        name = fields.get("dbname", "postgres")
    except (ValueError, KeyError, TypeError):
        # Without the cause: it would carry the secret into a log.
        raise ValueError(
            "the database's secret is neither a URL nor a JSON object with username, password,"
            " host, port and dbname"
        ) from None
    return f"postgresql://{user}:{password}@{host}:{port}/{name}?sslmode=require"
