from __future__ import annotations

import base64
import json

import pytest

from k2app.load.reader import Reject
from k2app.load.rejects import RejectsFile


def reject(line=3, raw=b"a,b", field="price", reason="'b' is not a decimal number"):
    return Reject("file.csv", line, raw, field, reason)


def lines(path):
    return [json.loads(one) for one in path.read_bytes().splitlines()]


def test_a_row_is_written_with_its_reason(tmp_path):
    """One JSON object per line, in the file of the load."""
    with RejectsFile(tmp_path / "rejects", "abc") as file:
        file.write([reject(), reject(line=9, field=None)])
        file.write([])
    assert (file.path, file.rows) == (tmp_path / "rejects" / "abc.jsonl", 2)
    first, second = lines(file.path)
    assert first == {
        "file": "file.csv",
        "line": 3,
        "raw": "a,b",
        "field": "price",
        "reason": "'b' is not a decimal number",
    }
    assert (second["line"], second["field"]) == (9, None)


@pytest.mark.parametrize(
    "raw", [b"caf\xe9,1", b"\x00", b'"x\r\ny', "é€".encode(), b"\xff\xfe", "\ufffd".encode()]
)
def test_the_bytes_are_kept_whatever_they_are(tmp_path, raw):
    """As text if they are UTF-8, else beside it in base64."""
    with RejectsFile(tmp_path, "abc") as file:
        file.write([reject(raw=raw)])
    [found] = lines(file.path)
    kept = base64.b64decode(found["raw_base64"]) if "raw_base64" in found else found["raw"].encode()
    assert raw == kept


def test_without_rejects_there_is_no_file(tmp_path):
    """Nor a folder."""
    with RejectsFile(tmp_path / "rejects", "abc"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_replaces_the_file(tmp_path):
    """Also if it stopped in the middle the first time, and if nothing is rejected any more."""
    (tmp_path / "abc.jsonl.part").write_text("left over")
    for rejects in ([reject(), reject()], [reject()], []):
        with RejectsFile(tmp_path, "abc") as file:
            file.write(rejects)
        assert sorted(tmp_path.iterdir()) == ([file.path] if rejects else [])
        assert not rejects or len(lines(file.path)) == len(rejects)


def test_a_load_that_fails_keeps_what_it_rejected(tmp_path):
    """The file is closed on the way out."""

    class LoadFailedError(Exception):
        pass

    def load():
        with RejectsFile(tmp_path, "abc") as file:
            file.write([reject()])
            assert not file.path.exists()
            raise LoadFailedError

    with pytest.raises(LoadFailedError):
        load()
    assert len(lines(tmp_path / "abc.jsonl")) == 1
