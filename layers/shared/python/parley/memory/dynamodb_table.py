"""The DynamoDB table: its keys, and its calls with their pages, batches and errors."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from parley.errors import StoreUnavailable
from parley.memory.dynamodb_errors import translated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Attributes = dict[str, Any]
"""An item or a key in the low-level form: `{"number": {"N": "1"}}`."""

_MOST_WRITES = 25
_MOST_KEYS = 100
_TRIES = 6
_FIRST_PAUSE_SECONDS = 0.05


class DynamoDbTable:
    """One table with the partition key `conversation` and the sort key `part`.

    In expressions, `#name` stands for the attribute `name`; names need no declaring. Every method
    raises what `dynamodb_errors.translated` does.
    """

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self._client = client
        self._name = name

    def put(self, item: Attributes, condition: str, values: Attributes) -> Attributes | None:
        """Write an item if the condition holds and return the one that it replaced, if any."""
        arguments: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
        with translated():
            answer = self._client.put_item(
                TableName=self._name,
                Item=item,
                ConditionExpression=condition,
                ExpressionAttributeNames=_names(condition),
                ReturnValues="ALL_OLD",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **arguments,
            )
        return answer.get("Attributes")

    def update(
        self,
        key: Attributes,
        update: str,
        condition: str,
        values: Attributes,
        *,
        returns: str,
        names: Mapping[str, str] | None = None,
    ) -> Attributes:
        """Change or create an item if the condition holds.

        Args:
            key: The item's key.
            update: The update expression.
            condition: The condition expression.
            values: The values of both expressions.
            returns: `ALL_NEW` or `UPDATED_OLD`: which attributes come back.
            names: Attributes whose names cannot stand in an expression, by their `#placeholder`.
        """
        arguments: dict[str, Any] = {"ReturnValues": returns}
        with translated():
            answer = self._client.update_item(
                TableName=self._name,
                Key=key,
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={**_names(update, condition), **(names or {})},
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **arguments,
            )
        return answer.get("Attributes", {})

    def delete(self, key: Attributes, condition: str, values: Attributes) -> None:
        """Remove an item if the condition holds."""
        with translated():
            self._client.delete_item(
                TableName=self._name,
                Key=key,
                ConditionExpression=condition,
                ExpressionAttributeNames=_names(condition),
                ExpressionAttributeValues=values,
            )

    def pages(
        self,
        conversation: str,
        first: str,
        last: str,
        *,
        attributes: Sequence[str],
        only: tuple[str, Attributes] | None = None,
        newest_first: bool = False,
        consistent: bool = False,
        limit: int | None = None,
    ) -> Iterator[list[Attributes]]:
        """Read a range of a conversation's parts, page by page.

        Args:
            conversation: The partition.
            first: The lowest part; may not be above `last`.
            last: The highest part, itself included.
            attributes: Which attributes to give back.
            only: A filter expression with its values.
            newest_first: In falling order of the parts.
            consistent: Also see writes of a moment ago.
            limit: At most so many items a page, counted before the filter.

        Returns:
            Pages, each fetched when it is asked for; an empty page may have others after it.
        """
        between = "#conversation = :conversation AND #part BETWEEN :first AND :last"
        projection = ", ".join(f"#{attribute}" for attribute in attributes)
        condition, values = only or ("", {})
        arguments: dict[str, Any] = {
            "TableName": self._name,
            "KeyConditionExpression": between,
            "ProjectionExpression": projection,
            "ExpressionAttributeNames": _names(between, projection, condition),
            "ExpressionAttributeValues": {
                ":conversation": {"S": conversation},
                ":first": {"S": first},
                ":last": {"S": last},
                **values,
            },
            "ScanIndexForward": not newest_first,
            "ConsistentRead": consistent,
        }
        if condition:
            arguments["FilterExpression"] = condition
        if limit is not None:
            arguments["Limit"] = limit
        while True:
            with translated():
                page = self._client.query(**arguments)
            yield page["Items"]
            if not page.get("LastEvaluatedKey"):
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def scan(
        self, attribute: str, after: Attributes | None, limit: int
    ) -> tuple[list[Attributes], Attributes | None]:
        """Read a page of the whole table, in an order of DynamoDB's own.

        Args:
            attribute: Which attribute to give back.
            after: The key that the page before gave; None to begin.
            limit: At most so many items.

        Returns:
            The page, and the key to go on after; None at the end.
        """
        arguments: dict[str, Any] = {} if after is None else {"ExclusiveStartKey": after}
        with translated():
            page = self._client.scan(
                TableName=self._name,
                ProjectionExpression=f"#{attribute}",
                ExpressionAttributeNames=_names(f"#{attribute}"),
                Limit=limit,
                **arguments,
            )
        return page["Items"], page.get("LastEvaluatedKey") or None

    def size(self) -> tuple[int, int]:
        """Tell how many items the table has and how many bytes, as of at most some hours ago."""
        with translated():
            table = self._client.describe_table(TableName=self._name)["Table"]
        return table["ItemCount"], table["TableSizeBytes"]

    def get_all(self, keys: Iterable[Attributes], attributes: Sequence[str]) -> list[Attributes]:
        """Read items by their keys, consistently; in no order, without those missing."""
        projection = ", ".join(f"#{attribute}" for attribute in attributes)
        found: list[Attributes] = []
        for batch in _batches(keys, _MOST_KEYS):
            left: dict[str, Any] = {
                self._name: {
                    "Keys": batch,
                    "ConsistentRead": True,
                    "ProjectionExpression": projection,
                    "ExpressionAttributeNames": _names(projection),
                }
            }
            for _ in _tries():
                with translated():
                    answer = self._client.batch_get_item(RequestItems=left)
                found += answer["Responses"].get(self._name, [])
                left = dict(answer.get("UnprocessedKeys", {}))
                if not left:
                    break
        return found

    def put_all(self, items: Iterable[Attributes]) -> None:
        """Write items without a condition. On an error some may have been written."""
        self._write_all({"PutRequest": {"Item": item}} for item in items)

    def delete_all(self, keys: Iterable[Attributes]) -> None:
        """Remove items. On an error some may have been removed; doing it again is harmless."""
        self._write_all({"DeleteRequest": {"Key": key}} for key in keys)

    def _write_all(self, requests: Iterable[dict[str, Any]]) -> None:
        for batch in _batches(requests, _MOST_WRITES):
            left: dict[str, Any] = {self._name: batch}
            for _ in _tries():
                with translated():
                    answer = self._client.batch_write_item(RequestItems=left)
                left = dict(answer.get("UnprocessedItems", {}))
                if not left:
                    break


def key(conversation: str, part: str) -> Attributes:
    """Name an item of the table."""
    return {"conversation": {"S": conversation}, "part": {"S": part}}


def _names(*expressions: str) -> dict[str, str]:
    return {f"#{name}": name for text in expressions for name in re.findall(r"#([a-z_]+)", text)}


def _batches(things: Iterable[Attributes], size: int) -> Iterator[list[Attributes]]:
    iterator = iter(things)
    while batch := list(islice(iterator, size)):
        yield batch


def _tries() -> Iterator[int]:
    """Count tries, pausing between them; DynamoDB leaves undone what it has no capacity for.

    Raises:
        StoreUnavailable: The tries are used up.
    """
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(random.uniform(0.5, 1) * _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
        yield attempt
    raise StoreUnavailable("agent-session store", "UnprocessedItems")
