"""Which symbol the rows of a file are of, where its rows do not say it themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from k2app.errors import OperatorError
from k2app.load.reader import Block
from k2app.load.shapes import FileShape
from k2app.load.sources import stem


@dataclass(frozen=True, slots=True)
class Reference:
    """Names by which files are called, and the symbols they stand for.

    Attributes
    ----------
    file
        Where it was read from.
    symbols
        Company id or symbol -> symbols, sorted; several if the id was given to several.
    rejects
        Rows of the file that could not be read.
    """

    file: str
    symbols: dict[str, tuple[str, ...]]
    rejects: int


def reference(file: Path, blocks: Iterable[Block]) -> Reference:
    """The names in a file of reference data, read with `reader.read`. A company id wins over a like symbol."""
    by_id: dict[str, set[str]] = {}
    by_symbol: dict[str, set[str]] = {}
    rejects = 0
    for block in blocks:
        rejects += len(block.rejects)
        ids, symbols = block.rows["company_id"].to_pylist(), block.rows["symbol"].to_pylist()
        for company_id, symbol in zip(ids, symbols, strict=True):
            by_id.setdefault(company_id, set()).add(symbol)
            by_symbol.setdefault(symbol, set()).add(symbol)
    names = by_symbol | by_id
    return Reference(str(file), {name: tuple(sorted(found)) for name, found in names.items()}, rejects)


def resolve(path: Path, shape: FileShape, option: str | None, known: Reference | None) -> str | None:
    """The symbol of all rows of a file, or None: each row says it.

    In this order: the operator's `--symbol`; `--reference`, by the file's name without ending or the part of it
    after the last dash (`7181.csv`, `asx-trades-DVN.csv`); the profile's rule for file names; a column.

    Raises
    ------
    OperatorError
        None of them says.
    """
    if option is not None:
        return _not_blank(option)
    if known is not None:
        return _look_up(path, known)
    if shape.symbol_in_file_name is not None:
        return _by_name(path, shape.symbol_in_file_name)
    if "symbol" not in dict(shape.cells()):
        raise OperatorError(
            f"{path}: its rows do not name a symbol; give --symbol SYMBOL or --reference FILE"
        )
    return None


def _not_blank(option: str) -> str:
    if not option.strip():
        raise OperatorError(f"--symbol {option!r} is empty; it takes a symbol")
    return option.strip()


def _look_up(path: Path, known: Reference) -> str:
    names = (stem(path), stem(path).rpartition("-")[2])
    found = next((known.symbols[name] for name in names if name in known.symbols), ())
    if len(found) == 1:
        return found[0]
    if found:
        raise OperatorError(
            f"{path}: {known.file} has several symbols for {names[0]!r}: {', '.join(found)}; give --symbol SYMBOL"
        )
    near = get_close_matches(names[-1], known.symbols, n=1)
    hint = f" (nearest: {near[0]})" if near else ""
    unread = f", {known.rejects} of whose rows could not be read" if known.rejects else ""
    asked = " or ".join(map(repr, dict.fromkeys(names)))
    raise OperatorError(
        f"{path}: no company id or symbol {asked} in {known.file}{unread}{hint}; give --symbol SYMBOL"
    )


def _by_name(path: Path, rule: str) -> str:
    found = re.search(rule, path.name)
    if found is None or not found["symbol"]:
        raise OperatorError(
            f"{path}: the name does not say the symbol (the profile looks for {rule}); give --symbol SYMBOL"
        )
    return found["symbol"]
