"""How a replay is asked for; the calls by name are in `k2app.client.methods`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from k2app.client.answer import Answer
from k2app.client.answer_course import AnswerCourse
from k2app.client.connection import Connection
from k2app.client.parameters import to_texts
from k2app.client.questions import Question
from k2app.client.replay import Replay, ReplayText
from k2app.client.replay_course import PATH, ReplayCourse

_REPLAY = Question("replay", PATH, is_paged=False, takes_pins=True)

_PACING = ("speed", "rate")
"""Numbers that are no amounts, and may be floats."""

_NEVER = {
    "start": datetime(1, 1, 1, tzinfo=UTC),
    "end": datetime(1, 1, 1, tzinfo=UTC) + timedelta(microseconds=1),
}
"""A range without rows."""


class Replays:
    """Trades and quotes in the order in which they happened."""

    _connection: Connection

    def replay_text(self, **parameters: object) -> ReplayText:
        """A replay as lines of NDJSON, in the server's words; takes and raises what `query` does."""
        return ReplayText(self._course(parameters))

    def _replay(self, **parameters: object) -> Replay:
        schema = self._schema(parameters)
        return Replay(self._course(parameters), schema)

    def _replay_batches(self, **parameters: object) -> Answer:
        return Answer(AnswerCourse(self._connection, _REPLAY, to_texts(parameters), None))

    def _course(self, parameters: dict[str, object]) -> ReplayCourse:
        return ReplayCourse(self._connection, to_texts(parameters | _paced(parameters)))

    def _schema(self, parameters: dict[str, object]) -> pa.Schema:
        """Types of the columns, which JSON has not: those of the same replay of no time at all."""
        asked = {name: value for name, value in parameters.items() if name not in (*_PACING, "cursor")}
        with self._replay_batches(**asked | _NEVER) as answer:
            return answer.schema


def _paced(parameters: dict[str, object]) -> dict[str, object]:
    given = {name: parameters.get(name) for name in _PACING}
    return {name: str(value) for name, value in given.items() if isinstance(value, float)}
