from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2app.errors import OperatorError
from k2app.load import lines
from k2app.load.quoted import grammar

BY = grammar(",")


def split(data, *, final=True, first_line=1):
    return lines.split(data, first_line, BY, ",", final=final)


def found(records):
    """(line, bytes, reason or None) of everything, in order."""
    good = [(int(line), records.raw(i), None) for i, line in enumerate(records.lines)]
    return sorted(good + [tuple(one) for one in records.damaged])


def in_chunks(data, sizes):
    """Everything found when the bytes come in pieces."""
    out, rest, line, place = [], b"", 1, 0
    sizes = iter([*sizes, *[len(data) + 1] * 2])
    while True:
        size = next(sizes)
        piece = data[place : place + size]
        place += size
        final = place > len(data)
        records = split(rest + piece, final=final, first_line=line)
        out += found(records)
        if final:
            return sorted(out)
        rest, line = (rest + piece)[records.size_bytes :], records.next_line


def test_blank_lines_and_both_line_ends_count():
    """Lines are physical lines; blank ones are no records; the last may lack its end."""
    assert found(split(b"a\r\n\r\n\nb\nc")) == [(1, b"a", None), (4, b"b", None), (5, b"c", None)]


def test_a_line_end_in_quotes_belongs_to_the_record():
    """The record stands at its first line, and the next one after its last."""
    assert found(split(b'a,"x\r\ny\n"\nb')) == [(1, b'a,"x\r\ny\n"', None), (4, b"b", None)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'"never closed,1', lines.UNCLOSED),
        (b'"a"b,1', lines.UNCLOSED),
        (b'1,""a', lines.UNCLOSED),
        (b'"a" ,1', lines.UNCLOSED),
        (b"a\rb,1", lines.RETURN),
        (b"a,1\r", lines.RETURN),
        (b"a\0,1", lines.NUL),
        (b"caf\xe9,1", "not UTF-8: byte 0xe9 at 3"),
        (b"\xff", "not UTF-8: byte 0xff at 0"),
    ],
)
def test_a_damaged_line_costs_itself_only(row, reason):
    """Its bytes are kept exactly; the lines around it are records."""
    end = b"\r\n" if row.endswith(b"\r") else b"\n"
    assert found(split(b"before,1\n" + row + end + b"after,2\n")) == [
        (1, b"before,1", None),
        (2, row, reason),
        (3, b"after,2", None),
    ]


@pytest.mark.parametrize(
    "row",
    [b'5" pipe,1', b'a"b"c,""', b'"",1', b'"a""b",1', b'"""",1', b'"x,y",1', b'"a\rb",1', "é,1".encode()],
)
def test_what_is_unusual_but_sound(row):
    """A quote within a cell is a character; doubled quotes, delimiters and returns may stand in quotes."""
    assert found(split(row + b"\nx\n")) == [(1, row, None), (2, b"x", None)]


def test_a_quote_that_is_not_closed_within_reach_costs_one_line():
    """It does not swallow the file: what follows stands for itself."""
    filler = b"x,1\n" * 20_000
    records = split(b'"open,1\n' + filler + b'"close",2\n')
    assert len(records) == 20_001
    assert found(records)[0] == (1, b'"open,1', lines.UNCLOSED)


def test_an_open_quote_at_the_end_of_a_chunk_waits_for_more():
    """Whether it closes is not known yet."""
    records = split(b'a\n"x\ny\n', final=False)
    assert (found(records), records.size_bytes, records.next_line) == ([(1, b"a", None)], 2, 2)


def test_a_file_without_line_ends_is_refused():
    """It would fill the memory; the line is named, wherever the chunk ends."""
    for final in (True, False):
        with pytest.raises(OperatorError, match="line 2 is longer than 1048576 bytes"):
            split(b"a\n" + b"x" * (lines.LINE_BYTES + 1), final=final)


PIECES = st.sampled_from(
    [b"a", b"b", b",", b",", b'"', b'""', b'"', b"\n", b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xc3\xa9"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map(b"".join), st.lists(st.integers(1, 9), max_size=20))
def test_where_chunks_end_makes_no_difference(data, sizes):
    """Records, damage and line numbers are those of the whole."""
    assert in_chunks(data, sizes) == found(split(data))


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map(b"".join))
def test_no_byte_is_lost(data):
    """Every line that is not blank is in exactly one record or damaged line, at its place."""
    starts = [0]
    for place, octet in enumerate(data):
        if octet == ord("\n"):
            starts.append(place + 1)
    left = bytearray(data)
    for line, raw, _ in found(split(data)):
        start = starts[line - 1]
        assert data[start : start + len(raw)] == raw
        assert left[start : start + len(raw)] == raw
        left[start : start + len(raw)] = b"\n" * len(raw)
    assert not set(left) - set(b"\r\n")


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map(b"".join))
def test_every_record_is_one_record_to_the_csv_module(data):
    """In strict mode, which refuses text after a closed quote, each reads as one row of its own."""
    records = split(data)
    for index in range(len(records)):
        [_row] = csv.reader(io.StringIO(records.raw(index).decode(), newline=""), strict=True)
