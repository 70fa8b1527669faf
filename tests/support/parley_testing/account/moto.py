"""The stores of an AWS account, served by moto on loopback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from parley_testing.account.region import REGION as REGION

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MEMORY_TABLE: Mapping[str, Any] = {
    "KeySchema": [
        {"AttributeName": "conversation", "KeyType": "HASH"},
        {"AttributeName": "part", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": "conversation", "AttributeType": "S"},
        {"AttributeName": "part", "AttributeType": "S"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
"""What the template says of the table for memory, for tests that have no template at hand."""


@contextmanager
def dynamodb_in_process(config: Config | None = None) -> Iterator[DynamoDBClient]:
    """Serve DynamoDB in this process, and yield a client of it.

    Both are slow to make, which costs a test more than its turn: once for a module is enough.

    Args:
        config: The client's.
    """
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        client = boto3.client("dynamodb", region_name="eu-central-1", config=config)
        yield client
        client.close()


def memory_table(client: Any, name: str | None = None) -> str:
    """Make an empty table for memory and return its name, which is a new one by itself."""
    name = name or uuid4().hex
    client.create_table(TableName=name, **MEMORY_TABLE)
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

    def purge(self, queue: str) -> None:
        """Remove all messages of a queue, those too that were received."""
        with closing(self._client("sqs")) as client:
            client.purge_queue(QueueUrl=queue)

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
