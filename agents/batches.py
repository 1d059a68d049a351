"""One agent per topic: whole batches, acknowledged by ingest once they are in the lake.

`noack().events()` is the only way to iterate: `take()` acknowledges even what failed.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import faust
from faust.types import StreamT

from k2app.ingest.service import Ingest


def register(app: faust.App, ingest: Ingest, topics: Iterable[faust.Topic]) -> None:
    """Make an agent for each topic; its name is the topic's."""
    for topic in topics:
        _agent(app, ingest, topic)


def _agent(app: faust.App, ingest: Ingest, topic: faust.Topic) -> None:
    @app.agent(topic, name=topic.get_topic_name())
    async def read(stream: StreamT) -> None:
        """Hand every batch of the topic to ingest."""
        async for event in stream.noack().events():
            await ingest.accept(event.value, partial(stream.ack, event))
