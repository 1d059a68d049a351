from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from load_files import HEADER, column, context, trade, write

from k2app.errors import OperatorError
from k2app.load import profiles
from k2app.load.reader import read
from k2app.load.sources import stem
from k2app.market.topics import DataType

TEXT = f"{HEADER}\n{trade()}\n{trade(price='2')}\n".encode()

CHECKSUMMED = bytes.fromhex(
    "28b52ffd244001020073796d626f6c2c74696d657374616d702c70726963652c7175616e746974790a4b544f2c323031342d30332d31"
    "305430303a30303a30305a2c312e352c31300a4e780d91"
)
"""One trade as the zstd command packs it: with a checksum at its end."""


def packed_zip(text):
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.csv", text)
    return found.getvalue()


def packed_zst(text):
    found = pa.BufferOutputStream()
    with pa.CompressedOutputStream(found, "zstd") as stream:
        stream.write(text)
    return found.getvalue().to_pybytes()


PACK = {".gz": gzip.compress, ".zst": packed_zst, ".zip": packed_zip}


def read_file(path):
    return list(read(path, profiles.load("k2"), DataType.TRADES, context(block_bytes=4096)))


@pytest.mark.parametrize("ending", PACK)
def test_compressed_files(tmp_path, ending):
    """They are read like the file itself, whatever the case of their names."""
    for name in (f"a.csv{ending}", f"a{ending.upper()}"):
        path = write(tmp_path, PACK[ending](TEXT), name)
        blocks = read_file(path)
        assert ["KTO", "KTO"] == column(blocks, "symbol")
        assert 0 < blocks[-1].bytes_read <= path.stat().st_size


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_several_compressed_files_in_one(tmp_path, ending):
    """As pzstd, pigz and cat make them."""
    head, rest = TEXT[:50], TEXT[50:]
    path = write(tmp_path, PACK[ending](head) + PACK[ending](rest), f"a.csv{ending}")
    assert ["KTO", "KTO"] == column(read_file(path), "symbol")


@pytest.mark.parametrize("ending", PACK)
def test_a_compressed_file_that_is_cut_off_anywhere(tmp_path, ending):
    """One sentence names it; it is never read as a shorter file."""
    content = PACK[ending](TEXT)
    for size in range(len(content)):
        path = write(tmp_path, content[:size], f"a.csv{ending}")
        with pytest.raises(OperatorError, match=r"a\.csv\.\w+(: the file is empty| cannot be read)"):
            read_file(path)


@pytest.mark.parametrize("ending", PACK)
def test_rows_before_the_end_of_what_is_cut_off(tmp_path, ending):
    """What was read before is there; the file fails nevertheless, and no half of a row is taken for one."""
    lines = b"".join(f"{trade(quantity=str(i))}\n".encode() for i in range(20_000))
    content = PACK[ending](HEADER.encode() + b"\n" + lines)
    blocks = read(
        write(tmp_path, content[: len(content) // 2], f"a{ending}"),
        profiles.load("k2"), DataType.TRADES, context(block_bytes=4096),
    )  # fmt: skip
    found = []
    with pytest.raises(OperatorError, match=r"a\.\w+ cannot be read"):
        found.extend(blocks)
    quantities = [int(one) for one in column(found, "quantity")]
    assert list(range(len(quantities))) == quantities
    assert [] == [one for block in found for one in block.rejects]


def test_a_changed_byte(tmp_path):
    """A checksum tells: gzip, zip, and zstd as the command writes it."""
    gz, archive = bytearray(gzip.compress(TEXT)), bytearray(packed_zip(TEXT))
    gz[-5] ^= 1  # of the checksum
    archive[14] ^= 1  # of the checksum, in the local header and below in the directory
    place = archive.index(b"PK\x01\x02") + 16
    archive[place] ^= 1
    zst = bytearray(CHECKSUMMED)
    zst[40] ^= 1
    for name, content in (("a.gz", gz), ("a.zip", archive), ("a.zst", zst)):
        with pytest.raises(
            OperatorError, match=f"{name} cannot be read to its end: the compressed data is cut off"
        ):
            read_file(write(tmp_path, bytes(content), name))
    assert ["KTO"] == column(read_file(write(tmp_path, CHECKSUMMED, "b.zst")), "symbol")


@pytest.mark.parametrize("ending", PACK)
def test_a_name_that_says_another_packing(tmp_path, ending):
    """It is said how to call the file; its bytes are not taken for text."""
    for name in {"a.csv", "a.csv.gz", "a.zip"} - {f"a.csv{ending}", f"a{ending}"}:
        with pytest.raises(OperatorError, match=rf"{name} holds a \{ending} file; rename it"):
            read_file(write(tmp_path, PACK[ending](TEXT), name))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a.csv.gz", "cannot be read to its end: .* Not a gzipped file"),
        ("a.csv.zst", "cannot be read to its end: .* ZSTD"),
        ("a.zip", "cannot be read: File is not a zip file"),
    ],
)
def test_text_under_the_name_of_a_packed_file(tmp_path, name, says):
    """Said in a sentence."""
    with pytest.raises(OperatorError, match=f"{name} {says.replace('.* ', '.*')}"):
        read_file(write(tmp_path, TEXT, name))


def test_a_zip_of_two_files(tmp_path):
    """Which one is meant is not guessed."""
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    with pytest.raises(OperatorError, match=r"two\.zip holds 2 files"):
        read_file(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("7181.csv.zst", "7181"), ("BRK.A.csv.gz", "BRK.A"), ("x.ZIP", "x"), ("a.b", "a.b")],
)
def test_the_name_of_a_file_without_its_endings(name, expected):
    """By which a reference file knows it."""
    assert expected == stem(Path(name))
