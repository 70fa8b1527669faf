"""Secrets, fetched from where the deployment keeps them."""

from __future__ import annotations


def secret_string(arn: str) -> str:
    """Fetch a secret from Secrets Manager; once an hour at most.

    Raises:
        aws_lambda_powertools.utilities.parameters.GetParameterError: It cannot be had; the error
            names it.
    """
    # Half of a cold start, for those who have no secret to fetch.
    from aws_lambda_powertools.utilities import parameters

    return str(parameters.get_secret(arn, max_age=3600))
