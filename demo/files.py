"""Streams merged into files: one per exchange, data type and day, the rows of all symbols as they arrive."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from content import Ints
from injections import FLAGS
from spoils import HEADERS, Spoil, spoil_line
from streams import Stream

FIRST_ROW_LINE = 2
"""Line of a file's first row: lines count from 1, and the first is the header."""


@dataclass(frozen=True)
class File:
    """One CSV file and the expected verdict of each of its rows.

    Parameters
    ----------
    lines
        Data rows, without the header.
    flag
        Code in injections.FLAGS per row.
    rejects
        Malformed rows by line.
    """

    name: str
    exchange: str
    data_type: str
    lines: list[str]
    flag: npt.NDArray[np.int8]
    rejects: dict[int, Spoil]

    def text(self) -> str:
        """Text of the whole file."""
        return "\n".join([",".join(HEADERS[self.data_type]), *self.lines, ""])

    def lines_by_flag(self) -> dict[str, list[int]]:
        """Line numbers of every verdict but `ok` and `rejected`; empty verdicts are left out."""
        found = {f: np.flatnonzero(self.flag == code) + FIRST_ROW_LINE for code, f in enumerate(FLAGS)}
        return {f: at.tolist() for f, at in found.items() if f not in {"ok", "rejected"} and len(at)}


@dataclass(frozen=True)
class Merged:
    """The files of one exchange and data type, and where each arrival of each stream went.

    `where[stream][place]` is (index of the file, line in it).
    """

    files: list[File]
    where: list[npt.NDArray[np.int64]]


def merge(streams: Sequence[Stream], days: Sequence[dt.date]) -> Merged:
    """Merge the streams of one exchange and data type into a file per day, in order of arrival.

    Rows that arrive at the same time keep the order of their streams; within a stream, order never changes.
    """
    day = np.concatenate([s.day for s in streams])
    order = np.lexsort((np.concatenate([s.key for s in streams]), day))
    texts = [line for s in streams for line in _lines(s)]
    flags = np.concatenate([s.plan.flag for s in streams])
    spoils = _spoils(streams)
    where = np.empty((len(order), 2), np.int64)
    files = []
    for number, date in enumerate(days):
        rows = order[day[order] == number]
        where[rows, 0], where[rows, 1] = number, np.arange(len(rows)) + FIRST_ROW_LINE
        rejects = {
            int(where[row, 1]): spoils[row] for row in rows[flags[rows] == FLAGS.index("rejected")].tolist()
        }
        files.append(_file(streams[0], date, [texts[row] for row in rows.tolist()], flags[rows], rejects))
    return Merged(files, np.split(where, _starts(streams)[1:]))


def _file(
    of: Stream, date: dt.date, lines: list[str], flag: npt.NDArray[np.int8], rejects: dict[int, Spoil]
) -> File:
    return File(f"{of.exchange}-{of.data_type}-{date}.csv", of.exchange, of.data_type, lines, flag, rejects)


def _starts(streams: Sequence[Stream]) -> list[int]:
    """Where each stream's arrivals begin in the concatenation of all."""
    lengths: Ints = np.cumsum([0, *(len(s.key) for s in streams[:-1])])
    return [int(n) for n in lengths]


def _lines(stream: Stream) -> list[str]:
    """Text per arrival, malformed rows spoiled."""
    lines = [stream.content.lines[slot] for slot in stream.plan.slot.tolist()]
    for place, spoil in stream.plan.spoils.items():
        lines[place] = spoil_line(lines[place], spoil, stream.data_type)
    return lines


def _spoils(streams: Sequence[Stream]) -> dict[int, Spoil]:
    """Malformed rows, by arrival in the concatenation of all streams."""
    return {
        start + place: spoil
        for start, stream in zip(_starts(streams), streams, strict=True)
        for place, spoil in stream.plan.spoils.items()
    }
