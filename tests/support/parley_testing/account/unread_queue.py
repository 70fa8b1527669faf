"""A queue that takes wake-ups and gives them to nobody, for tests that look at none."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from parley_local.local_queue import local_queue
from parley_local.template import Queue
from parley_testing.account.moto import REGION
from parley_testing.waiting import HANG_SECONDS

_QUEUE = Queue("wake-ups", "Worker")


@contextmanager
def unread_queue() -> Iterator[Mapping[str, str]]:
    """Serve a queue from a thread, and give what a function needs to reach it.

    It is no mock of moto's: those are emptied whenever another of them in the process ends.
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
        urls: SimpleQueue[str] = SimpleQueue()
        end = asyncio.Event()
        loop = asyncio.new_event_loop()

        async def serve() -> None:
            async with local_queue(_QUEUE, Path(folder)) as queue:
                urls.put(queue.url)
                await end.wait()

        served = thread.submit(loop.run_until_complete, serve())
        try:
            url = urls.get(timeout=HANG_SECONDS)
            yield {
                "WAKE_QUEUE_URL": url,
                "AWS_ENDPOINT_URL_SQS": url.rsplit("/", 2)[0],
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
            }
        finally:
            loop.call_soon_threadsafe(end.set)
            served.result(timeout=HANG_SECONDS)
            loop.close()
