"""Clients of AWS, made with botocore alone and without looking through all that AWS has.

boto3 would add its resources and its transfers to S3, which nobody here uses. And botocore looks
into the folder of each of some four hundred services before it opens the one that is asked for:
2,700 files, on a disk that is cold when a function starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

Service = Literal["dynamodb", "sns", "sqs"]


class Clients:
    """Makes clients, which share what they read.

    Attributes:
        made: Those that were made.
    """

    def __init__(self) -> None:
        """Read what the environment says of AWS."""
        from botocore.config import Config
        from botocore.session import get_session

        self.made: list[Any] = []
        self._session = get_session()
        loader = self._session.get_component("data_loader")
        # It asks only whether the service is among them.
        loader.list_available_services = _services
        # Both answer within milliseconds; botocore waits for a minute.
        self._impatient = Config(
            connect_timeout=2,
            read_timeout=3,
            retries={"mode": "standard", "total_max_attempts": 2},
        )

    @overload
    def of(self, service: Literal["dynamodb"]) -> DynamoDBClient: ...
    @overload
    def of(self, service: Literal["sqs"]) -> SQSClient: ...
    @overload
    def of(self, service: Literal["sns"]) -> Any: ...
    def of(self, service: Service) -> Any:
        """Return a new client of a service."""
        client: Any = self._session.create_client(service, config=self._impatient)
        self.made.append(client)
        return client


def _services(type_name: str) -> tuple[str, ...]:
    return Service.__args__  # type: ignore[attr-defined, no-any-return]
