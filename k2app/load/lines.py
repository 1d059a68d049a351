"""Where the records of a chunk of bytes stand, which lines they are, and what cannot be one.

Vectorised; a line is looked at in Python only if its quotes or carriage returns are out of the ordinary, or
if it is damaged. What is cut into chunks where makes no difference to what is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from k2app.errors import OperatorError
from k2app.load.quoted import Grammar, odd_lines

Int64s = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LINE_BYTES: Final = 1024 * 1024
"""Longest line: no record is near it, and a file without line ends must not fill the memory."""

QUOTED_BYTES: Final = 64 * 1024
"""Longest record with a line end in quotes: beyond it, a quote that was never closed costs one line."""

UNCLOSED: Final = "a quote is not closed, or text follows a closed one"
RETURN: Final = "a carriage return stands within the row"
NUL: Final = "a NUL byte stands within the row"
ENCODING: Final = "not UTF-8"

_LF, _CR = b"\n\r"
_ASCII = 0x80


class Damage(NamedTuple):
    """A record that is none."""

    line: int
    raw: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Records:
    """Records of a chunk, in order.

    Attributes
    ----------
    data
        The chunk.
    starts, ends
        int64[n], where each stands in the chunk, without its line end.
    lines
        int64[n], line of the file on which each starts, from 1.
    quoted
        Whether there are quotes in the chunk.
    damaged
        What is no record; not among the others.
    size_bytes
        Bytes of the chunk that are done; what follows belongs to the next one.
    next_line
        Line of the file on which the next chunk starts.
    """

    data: bytes
    starts: Int64s
    ends: Int64s
    lines: Int64s
    quoted: bool
    damaged: tuple[Damage, ...]
    size_bytes: int
    next_line: int

    def __len__(self) -> int:
        return len(self.starts)

    def raw(self, index: int) -> bytes:
        """A record's bytes, without its line end."""
        return self.data[self.starts[index] : self.ends[index]]

    def without_first(self) -> Records:
        """All but the first one."""
        return self._keep(np.arange(len(self)) > 0)

    def text(self) -> bytes:
        """The records as one text, each with a line end."""
        # Neighbours stay together: a cut is needed only where something between two was left out.
        cut = np.flatnonzero(self.starts[1:] - self.ends[:-1] > len(b"\r\n"))
        froms, tos = np.append(0, cut + 1), np.append(cut, len(self) - 1)
        pieces = [
            self.data[a:b] for a, b in zip(self.starts[froms].tolist(), self.ends[tos].tolist(), strict=True)
        ]
        return b"\n".join(pieces) + b"\n"

    def _keep(self, keep: Mask, damaged: tuple[Damage, ...] = ()) -> Records:
        return Records(
            self.data,
            self.starts[keep],
            self.ends[keep],
            self.lines[keep],
            self.quoted,
            (*self.damaged, *damaged),
            self.size_bytes,
            self.next_line,
        )


def split(data: bytes, first_line: int, grammar: Grammar, delimiter: str, *, final: bool) -> Records:
    r"""Find the records in a chunk. Lines end with \n or \r\n; empty ones are no records, but count.

    Parameters
    ----------
    data
        A chunk that starts where a record starts.
    first_line
        Line of the file on which it starts.
    final
        No bytes follow: the last line may lack its end.

    Raises
    ------
    OperatorError
        A line is longer than `LINE_BYTES`: says which one.
    """
    lines = _lines(data, final=final)
    _refuse_endless(data, lines, first_line)
    quoted = b'"' in data
    runs = _Runs([], [], len(lines.starts))
    if quoted or data.count(b"\r") != data.count(b"\r\n"):
        octets = np.frombuffer(data, np.uint8)[: lines.size_bytes]
        runs = _runs(lines, odd_lines(octets, lines.feeds, delimiter), grammar, final=final)
    return _records(lines, runs, first_line, quoted=quoted)


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines of a chunk: where each starts, ends, and has its line feed (or would have)."""

    data: bytes
    starts: Int64s
    ends: Int64s
    feeds: Int64s
    size_bytes: int

    def text(self, line: int) -> bytes:
        return self.data[self.starts[line] : self.ends[line]]


def _lines(data: bytes, *, final: bool) -> _Lines:
    octets = np.frombuffer(data, np.uint8)
    feeds = np.flatnonzero(octets == _LF)
    if final and data and not data.endswith(b"\n"):
        feeds = np.append(feeds, len(data))
    starts = np.append(0, feeds + 1)[:-1].astype(np.int64)
    before = octets[feeds - 1] if len(feeds) else octets[:0]
    ends = feeds - ((before == _CR) & (feeds > starts))
    size = min(int(feeds[-1]) + 1, len(data)) if len(feeds) else 0
    return _Lines(data, starts, ends, feeds, size)


def _refuse_endless(data: bytes, lines: _Lines, first_line: int) -> None:
    long = np.flatnonzero(lines.feeds - lines.starts > LINE_BYTES).tolist()
    if len(data) - lines.size_bytes > LINE_BYTES:
        long.append(len(lines.starts))
    if long:
        raise OperatorError(
            f"line {first_line + long[0]} is longer than {LINE_BYTES} bytes; is this a CSV file with a row per line?"
        )


@dataclass(frozen=True, slots=True)
class _Runs:
    """What is out of the ordinary: records over several lines (first, last), and lines that are none.

    `count` lines belong to records that end in this chunk.
    """

    long: list[tuple[int, int]]
    broken: list[tuple[int, str]]
    count: int


def _runs(lines: _Lines, odd: Int64s, grammar: Grammar, *, final: bool) -> _Runs:
    long: list[tuple[int, int]] = []
    broken: list[tuple[int, str]] = []
    done = -1
    for line in odd.tolist():
        if line <= done:
            continue
        last = _follow(lines, line, grammar, final=final)
        if last is None:
            return _Runs(long, broken, line)
        if last < line:
            broken.append((line, _why(lines.text(line))))
        elif last > line:
            long.append((line, last))
        done = max(last, line)
    return _Runs(long, broken, len(lines.starts))


def _follow(lines: _Lines, first: int, grammar: Grammar, *, final: bool) -> int | None:
    """Last line of the record that starts here; `first - 1` if it is none, None if the chunk ends within it."""
    state, last = grammar.first(lines.text(first)), first
    while state == "open":
        last += 1
        if last == len(lines.starts):
            return first - 1 if final else None
        if lines.ends[last] - lines.starts[first] > QUOTED_BYTES:
            return first - 1
        state = grammar.further(lines.text(last))
    # An unreadable record costs its first line only; what follows stands for itself.
    return last if state == "closed" else first - 1


def _why(raw: bytes) -> str:
    return RETURN if b"\r" in raw and b'"' not in raw else UNCLOSED


def _records(lines: _Lines, runs: _Runs, first_line: int, *, quoted: bool) -> Records:
    first = np.ones(runs.count, np.bool_)
    ends = lines.ends[: runs.count].copy()
    for start, last in runs.long:
        first[start + 1 : last + 1] = False
        ends[start] = lines.ends[last]
    starts = lines.starts[: runs.count]
    size = lines.size_bytes if runs.count == len(lines.starts) else int(lines.starts[runs.count])
    numbers = np.arange(first_line, first_line + runs.count, dtype=np.int64)
    broken = tuple(Damage(first_line + line, lines.text(line), why) for line, why in runs.broken)
    first[[line for line, _ in runs.broken]] = False
    first &= ends > starts
    whole = Records(
        lines.data, starts[first], ends[first], numbers[first], quoted, broken, size, first_line + runs.count
    )
    return _without_damaged(whole)


def _without_damaged(records: Records) -> Records:
    bad = dict(_undecodable(records))
    bad |= dict.fromkeys(_holding(records, b"\0"), NUL)
    if not bad:
        return records
    keep = np.ones(len(records), np.bool_)
    keep[list(bad)] = False
    found = tuple(Damage(int(records.lines[i]), records.raw(i), bad[i]) for i in sorted(bad))
    return records._keep(keep, found)  # noqa: SLF001 - its own module


def _holding(records: Records, octet: bytes) -> list[int]:
    if octet not in records.data:
        return []
    octets = np.frombuffer(records.data, np.uint8)
    return _at(records, np.flatnonzero(octets == octet[0]))


def _undecodable(records: Records) -> Iterator[tuple[int, str]]:
    if records.data.isascii():
        return
    octets = np.frombuffer(records.data, np.uint8)
    for index in _at(records, np.flatnonzero(octets >= _ASCII)):
        try:
            records.raw(index).decode()
        except UnicodeDecodeError as error:
            yield index, f"{ENCODING}: byte {error.object[error.start]:#04x} at {error.start}"


def _at(records: Records, places: Int64s) -> list[int]:
    """Records that stand at these places; places between records count for none."""
    index = np.searchsorted(records.starts, places, side="right") - 1
    inside = (
        (index >= 0) & (places < records.ends[index]) if len(records) else np.zeros(len(places), np.bool_)
    )
    found: list[int] = np.unique(index[inside]).tolist()
    return found
