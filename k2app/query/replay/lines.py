"""A replay as text, a row a line or an event. What each line says: `k2app.query.replay.replay`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from k2app.query.answers.result_text import TEXT_ROWS, about, json_fragments
from k2app.query.answers.row_text import merged_rows, text_offsets, text_view
from k2app.query.answers.writing import control_line
from k2app.query.beside import Bytes, HashBeside, thread_beside
from k2app.query.gaps.gaps import SMALL_GAP, Gap
from k2app.query.reading.ordered import Piece, Place
from k2app.query.reading.ordering import Ints
from k2app.query.reading.reader import Reader
from k2app.query.replay.replay import RECORD, Feed, Replay, gap_place
from k2app.query.replay.request import ReplayFormat
from k2app.query.times import micros_to_text


@dataclass(frozen=True)
class Part:
    """Consecutive rows, written and waiting for their time.

    Parameters
    ----------
    blocks
        All rows, one after the other.
    ends
        Where each of them ends.
    times_us
        Event time of each.
    marks
        Lines between rows, with the number of the row that each stands before.
    place
        Where a row stands in the order.
    """

    blocks: tuple[Bytes, ...]
    ends: Ints
    times_us: Ints
    marks: tuple[tuple[int, bytes], ...]
    place: Callable[[int], Place]

    def __len__(self) -> int:
        return len(self.ends)


class Lines:
    """Writes what a feed reads. Its steps are those of the feed; the other methods may be called beside one.

    Parameters
    ----------
    feed
        Where rows come from.
    form
        NDJSON or server-sent events.
    numbers
        Decimals as JSON numbers of the same digits instead of strings.
    control
        Whether there are lines that are no rows.
    """

    def __init__(
        self, feed: Feed, form: ReplayFormat, *, numbers: bool = False, control: bool = True
    ) -> None:
        self._feed = feed
        self.replay: Replay = feed.replay
        self._events = form is ReplayFormat.SSE
        self._numbers = numbers
        self._control = control
        self._gaps = list(self.replay.gaps)
        self._digest = HashBeside()
        self._thread = thread_beside()
        self._rows = 0

    def step(self, reader: Reader) -> Part | None:
        """Write the next rows; None: there are no more."""
        piece = self._feed.next(reader)
        if piece is None:
            return None
        texts = self._texts(piece)
        blocks: tuple[Bytes, ...] = tuple(map(text_view, texts))
        self._digest.update(list(blocks))
        self._rows += len(piece)
        ends = np.cumsum(np.concatenate([np.diff(text_offsets(part)) for part in texts]))
        if self._events:
            block, ends = self._as_events(piece, b"".join(blocks), ends)
            blocks = (block,)
        return Part(blocks, ends, piece.times, tuple(self._marks(piece)), piece.place)

    def start(self) -> bytes:
        """The line before everything."""
        asked = self.replay.request
        members = {
            **about(self.replay.head()),
            "data_type": asked.data_type,
            "start": None if asked.start is None else micros_to_text(asked.start),
            "end": None if asked.end is None else micros_to_text(asked.end),
            "speed": asked.speed_text,
            "rate": asked.rate,
        }
        return self._told("start", self.replay.cursor(None), **members)

    def progress(self, rows: int, place: Place | None) -> bytes:
        """The line after so many rows, the last of which stands there."""
        time = None if place is None else micros_to_text(place[1][0])
        return self._told("progress", self.replay.cursor(place), rows=rows, timestamp=time)

    def end(self) -> bytes:
        """The line after everything: gaps that no row was left for, and the end. Not before the last step."""
        gaps = b"".join(self._gap(gap) for gap in self._gaps)
        return gaps + self._told("end", None, rows=self._rows, sha256=self._digest.hexdigest(), next=None)

    def error(self, detail: str) -> bytes:
        """The line where it broke off."""
        return self._told("error", None, detail=detail)

    def _texts(self, piece: Piece) -> list[pa.Array]:
        """A line for each row, in order, some at a time; many are written on two threads."""
        parts = [piece.slice(at, at + TEXT_ROWS) for at in range(0, len(piece), TEXT_ROWS)]
        half = len(parts) // 2
        first = self._thread.submit(self._lines_of, parts[:half]) if half else None
        second = self._lines_of(parts[half:])
        return [*([] if first is None else first.result()), *second]

    def _lines_of(self, parts: Sequence[Piece]) -> list[pa.Array]:
        return [self._lines(part) for part in parts]

    def _lines(self, piece: Piece) -> pa.Array:
        replay = self.replay
        fragments = (
            json_fragments(
                table.select([name for name in replay.columns(n) if name != RECORD]),
                numbers=self._numbers,
                head=f'"{RECORD}":"{replay.request.tables[n]}"',
                end="\n",
            )
            for n, table in enumerate(piece.tables)
        )
        rows = (table.num_rows for table in piece.tables)
        return merged_rows(list(zip(fragments, rows, strict=True)), piece.which)

    def _as_events(self, piece: Piece, data: bytes, ends: Ints) -> tuple[bytes, Ints]:
        starts = np.concatenate(([0], ends[:-1]))
        names = [table.removesuffix("s") for table in self.replay.request.tables]
        rows = zip(starts.tolist(), ends.tolist(), piece.which.tolist(), strict=True)
        events = [
            _event(names[which], data[start:end], self.replay.cursor(place))
            for (start, end, which), place in zip(rows, piece.every_place(), strict=True)
        ]
        return b"".join(events), np.cumsum([len(event) for event in events])

    def _marks(self, piece: Piece) -> list[tuple[int, bytes]]:
        """Gaps of this piece, each before the first row of its time and table, or after them."""
        marks = []
        times, which = piece.times, piece.which
        while self._gaps:
            time_us, table = gap_place(self.replay, self._gaps[0])
            low, high = np.searchsorted(times, [time_us, time_us + 1])
            row = int(low + np.searchsorted(which[low:high], table))
            if row == len(times):
                break
            marks.append((row, self._gap(self._gaps.pop(0))))
        return marks

    def _gap(self, gap: Gap) -> bytes:
        scope = gap.scope
        return self._told(
            "gap",
            None,
            data_type=scope.data_type,
            exchange=scope.exchange,
            asset_class=scope.asset_class,
            symbol=scope.symbol,
            trading_date=None if scope.trading_date is None else scope.trading_date.isoformat(),
            epoch=scope.epoch,
            from_sequence=gap.start,
            to_sequence=gap.end,
            missing=gap.missing,
            severity="small" if gap.end - gap.start < SMALL_GAP else "large",
            state=gap.state,
            timestamp=micros_to_text(gap.timestamp_us),
        )

    def _told(self, kind: str, cursor: str | None, **members: Any) -> bytes:
        if not self._control:
            return b""
        line = control_line(kind, **members, **({} if cursor is None else {"cursor": cursor}))
        return _event("control", line, cursor) if self._events else line


def _event(name: str, line: bytes, cursor: str | None) -> bytes:
    """One event. Source: HTML, "Server-sent events", 9.2.5."""
    identity = "" if cursor is None else f"id: {cursor}\n"
    return f"event: {name}\n{identity}data: ".encode() + line + b"\n"
