"""`k2-query replay --to TOPIC`: a replay as records of a topic."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from uuid import uuid4

from k2app.cli.output import say_of
from k2app.cli.sources import opened_engine
from k2app.cli.terminal import say
from k2app.query.engine import QueryEngine
from k2app.query.reading.ordered import PIECE_ROWS, Place
from k2app.query.replay.player import opened, paced
from k2app.query.replay.replay import Replay
from k2app.query.replay.request import ReplayRequest
from k2app.query.replay.topic import PARTITIONS, TopicWriter, check_target, replay_headers
from k2app.query.times import micros_to_text
from k2app.settings import Settings
from k2app.stream.logs_by_url import Log, open_log
from k2app.stream.registry import open_registry


def replay_to_topic(settings: Settings, asked: ReplayRequest, topic: str) -> None:
    """Publish a replay, and say how far it came.

    Raises
    ------
    OperatorError
        The topic is one that the lake ingests.
    """
    check_target(topic, asked)
    with opened_engine(settings) as engine:
        _to_topic(settings, engine, opened(engine, asked), topic)


def _to_topic(settings: Settings, engine: QueryEngine, replay: Replay, topic: str) -> None:
    log = open_log(settings)
    with closing(log.publisher()) as publisher:
        _make(log, topic)
        replay_id = uuid4().hex
        say(f"replay {replay_id} into {topic}" + ("; the embedded log keeps no headers" if log.file else ""))
        registry = open_registry(settings, log.file)
        headers = replay_headers(replay, replay_id)
        _publish(engine, TopicWriter(replay, topic, publisher, registry, headers))


def _make(log: Log, topic: str) -> None:
    """Make the topic, unless it is there; then it may have any number of partitions."""
    if not log.has_topic(topic):
        log.create_topic(topic, PARTITIONS)


def _publish(engine: QueryEngine, writer: TopicWriter) -> None:
    rows, told, place = 0, 0, None
    try:
        for piece in paced(engine, writer.replay):
            writer.publish(piece)
            rows, place = rows + len(piece), piece.place(len(piece) - 1)
            if rows - told >= PIECE_ROWS:
                told = rows
                say(f"{rows:,} rows, up to {micros_to_text(place[1][0])}")
    except BaseException:
        _say_place(writer.replay, rows, place)
        raise
    say_of(replace(writer.replay.head(), next=None), rows)


def _say_place(replay: Replay, rows: int, place: Place | None) -> None:
    say(f"{rows:,} rows are on the topic; go on with --cursor {replay.cursor(place)}")
