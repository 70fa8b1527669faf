"""moto's server with a table and a queue, which tells what is written into DynamoDB.

For each write a line on standard output has its operation and the request's bytes. The first line
has the server's and the queue's URL; it stops when standard input ends.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from typing import Any

import boto3
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from moto.server import ThreadedMotoServer

TABLE = "memory"
QUEUE = "wake-queue"
_WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")


def main() -> None:
    """Serve until standard input ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    act = DynamoHandler.call_action

    def counted(handler: DynamoHandler) -> Any:
        operation = handler.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if operation in _WRITES:
            told = [operation, int(handler.headers["Content-Length"])]
            sys.stdout.write(f"{json.dumps(told)}\n")  # print writes twice, and others in between
            sys.stdout.flush()
        return act(handler)

    DynamoHandler.call_action = counted  # type: ignore[method-assign]
    _sort_less()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    url = f"http://127.0.0.1:{port}"
    names = ("conversation", "part")
    boto3.client("dynamodb", endpoint_url=url).create_table(
        TableName=TABLE,
        KeySchema=[
            {"AttributeName": name, "KeyType": kind}  # type: ignore[typeddict-item]
            for name, kind in zip(names, ("HASH", "RANGE"), strict=True)
        ],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        BillingMode="PAY_PER_REQUEST",
    )
    made = boto3.client("sqs", endpoint_url=url).create_queue(QueueName=QUEUE)
    print(json.dumps({"url": url, "queue": made["QueueUrl"]}), flush=True)
    sys.stdin.read()
    server.stop()


def _sort_less() -> None:
    """Have a query look at its partition; moto's looks at the whole table, and sorts it."""
    query, asked = Table.query, threading.local()

    def of_partition(table: Table, hash_key: Any, *others: Any, **named: Any) -> Any:
        asked.items = list(table.items.get(hash_key, {}).values())
        return query(table, hash_key, *others, **named)

    def asked_for(table: Table) -> Any:
        return getattr(asked, "items", [])

    Table.query = of_partition  # type: ignore[assignment, method-assign]
    Table.all_items = asked_for  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    main()
