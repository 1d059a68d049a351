from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from load_files import read_with, rejects, rows

from k2app.market.topics import DataType

PROFILE = """
[reference_data]
header = "no"
columns = ["id", "a", "b"]
delimiter = '{delimiter}'
[reference_data.fields]
company_id = "id"
symbol = "id"
"""

TEXT = st.text(st.sampled_from(['"', ",", ";", "'", " ", "a", "é", "€", "\n", "\t", "0"]), max_size=6)
ROW = st.tuples(TEXT, TEXT)


def dialect(delimiter, quoting, end):
    return {"delimiter": delimiter, "quoting": quoting, "lineterminator": end}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(ROW, st.none()), min_size=1, max_size=12),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(8, 200),
)
def test_what_the_csv_module_writes_is_read_as_it_reads_it(
    lines, delimiter, quoting, end, last_end, block_bytes
):
    """Cells and line numbers are those of the csv module; None is a blank line; blocks may end anywhere."""
    text, line, expected = "", 1, []
    for number, row in enumerate(lines):
        piece = end
        if row is not None:
            buffer = io.StringIO(newline="")
            csv.writer(buffer, **dialect(delimiter, quoting, end)).writerow([f"c{number}", *row])
            piece = buffer.getvalue()
            [cells] = csv.reader(io.StringIO(piece, newline=""), delimiter=delimiter)
            expected.append((line, cells))
        text += piece
        line += piece.count("\n")
    text = text if last_end else text.removesuffix(end)
    if not expected:
        return
    with tempfile.TemporaryDirectory() as folder:
        profile = PROFILE.replace("{delimiter}", delimiter)
        blocks = read_with(Path(folder), profile, text, DataType.REFERENCE_DATA, block_bytes=block_bytes)
    found = [(row["source_line"], row["company_id"], dict(row["attributes"] or [])) for row in rows(blocks)]
    said = [(n, cells[0], {k: v for k, v in zip("ab", cells[1:], strict=True) if v}) for n, cells in expected]
    assert (said, []) == (found, rejects(blocks))


GOOD = b"KTO,2014-03-10T00:00:%02dZ,1.5,%d"
BAD = [
    b"",
    b"x",
    b"KTO,2014-03-10T00:00:00Z,1.5",
    b'"KTO,2014',
    b"KTO\0,,,",
    b"\xff,a,b,c",
    b'"a\nb",,,',
    b"a\rb,,,",
    b",,,,,",
]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 59), st.sampled_from(BAD)), max_size=30), st.integers(16, 300))
def test_rows_and_rejects_do_not_depend_on_the_size_of_blocks(lines, block_bytes):
    """Read in small blocks, a file gives what it gives in one."""
    body = [one if isinstance(one, bytes) else GOOD % (one, one) for one in [0, *lines]]
    text = b"symbol,timestamp,price,quantity\n" + b"\n".join(body)
    profile = (
        '[trades]\nheader = "yes"\n[trades.fields]\n'
        'symbol = "symbol"\ntimestamp = "timestamp"\nprice = "price"\nquantity = "quantity"\n'
    )
    with tempfile.TemporaryDirectory() as folder:
        small = read_with(Path(folder), profile, text, block_bytes=block_bytes, sequence="none")
        whole = read_with(Path(folder), profile, text, sequence="none")
    assert len(whole) == 1
    assert rows(whole) == rows(small)
    assert rejects(whole) == rejects(small)
    kept = 1 + sum(isinstance(one, int) for one in lines)
    assert len(rows(whole)) == kept
