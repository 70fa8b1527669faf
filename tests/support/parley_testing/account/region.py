"""Where the account is that moto serves."""

from __future__ import annotations

REGION = "eu-west-1"
