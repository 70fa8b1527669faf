"""What a secret is fetched with, made and used before the snapshot, without fetching any."""

from __future__ import annotations

import os
from collections.abc import Iterator

from parley.config import Settings
from parley.manifest import manifest
from parley.priming.aws import Unsent
from parley.project_variables import ARN_SUFFIX
from parley.secrets import Secret, provider_of


def prime_secrets(settings: Settings) -> None:
    """Import what secrets are fetched with, make its clients, and have them ask a stand-in."""
    arns = [arn for arn in _arns(settings) if arn]
    for arn in {provider_of(arn): arn for arn in arns}.values():
        provider = provider_of(arn)
        with Unsent().answering([provider.client]):
            _ = Secret(arn).value


def _arns(settings: Settings) -> Iterator[str | None]:
    yield settings.database_runtime_secret_arn or settings.database_secret_arn
    yield settings.openai_secret_arn
    for variable in manifest().environment:
        if variable.secret:
            yield os.environ.get(variable.name + ARN_SUFFIX)
