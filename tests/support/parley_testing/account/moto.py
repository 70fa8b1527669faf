"""The stores of an AWS account, served by moto on loopback."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any
from uuid import uuid4

import boto3

REGION = "eu-west-1"


def memory_table(client: Any) -> str:
    """Make an empty table for memory and return its name."""
    name, keys = uuid4().hex, {"conversation": "HASH", "part": "RANGE"}
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


class Account:
    """What a deployment's stack and its owner make in an account: secrets, tables and queues.

    Attributes:
        url: Where all services answer, for AWS_ENDPOINT_URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def secret(self, text: str) -> str:
        """Keep a secret in Secrets Manager and return its ARN."""
        with closing(self._client("secretsmanager")) as client:
            return str(client.create_secret(Name=uuid4().hex, SecretString=text)["ARN"])

    def parameter(self, text: str) -> str:
        """Keep a SecureString in SSM's Parameter Store and return its ARN."""
        name = f"/parley/{uuid4().hex}"
        with closing(self._client("ssm")) as client:
            client.put_parameter(Name=name, Value=text, Type="SecureString")
            return str(client.get_parameter(Name=name)["Parameter"]["ARN"])

    def table(self, properties: Mapping[str, Any]) -> str:
        """Make a DynamoDB table as a template describes it and return its name."""
        wanted = ("KeySchema", "AttributeDefinitions", "BillingMode")
        name = uuid4().hex
        with closing(self._client("dynamodb")) as client:
            client.create_table(TableName=name, **{key: properties[key] for key in wanted})
        return name

    def queue(self) -> str:
        """Make an SQS queue and return its URL."""
        with closing(self._client("sqs")) as client:
            return str(client.create_queue(QueueName=uuid4().hex)["QueueUrl"])

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """Return what can be received from a queue, and have it stay there unseen."""
        with closing(self._client("sqs")) as client:
            given = client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
            found: list[dict[str, Any]] = given.get("Messages", [])
            return found

    def items(self, table: str) -> list[dict[str, Any]]:
        """Return all that stands in a table."""
        with closing(self._client("dynamodb")) as client:
            found: list[dict[str, Any]] = client.scan(TableName=table)["Items"]
            return found

    def empty(self, table: str) -> None:
        """Remove all that stands in a table."""
        with closing(self._client("dynamodb")) as client:
            keys = client.describe_table(TableName=table)["Table"]["KeySchema"]
            for item in client.scan(TableName=table)["Items"]:
                key = {name: item[name] for name in (each["AttributeName"] for each in keys)}
                client.delete_item(TableName=table, Key=key)

    def _client(self, service: Any) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
