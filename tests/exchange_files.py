"""Where the real exchange files are. They are not part of the repository."""

import os
from pathlib import Path

import pytest

INFO = "asx-company-info.csv"


def exchange_files() -> Path:
    """The folder that K2_TEST_DATA names; a test that needs it fails without it, it is never skipped."""
    folder = os.environ.get("K2_TEST_DATA")
    if not folder:
        pytest.fail(
            "K2_TEST_DATA is not set: it names the folder with the exchange's files "
            "(`make test-data` and `make services` set it)"
        )
    missing = [pattern for pattern in (INFO, "asx-trades-*.csv") if not list(Path(folder).glob(pattern))]
    if missing:
        pytest.fail(f"K2_TEST_DATA names {folder}, where there is no {' and no '.join(missing)}")
    return Path(folder).absolute()


def symbols(folder: Path) -> list[str]:
    """Symbols of which there are trades, `asx-trades-SYMBOL.csv`, in order."""
    return sorted(path.stem.removeprefix("asx-trades-") for path in folder.glob("asx-trades-*.csv"))
