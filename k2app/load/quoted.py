"""Quotes in delimited text: which lines end outside of quotes, strictly by RFC 4180.

A quoted cell opens right after a delimiter or at the start of a record and closes right before one or at its
end; within it a quote is doubled. A quote elsewhere in a cell is an ordinary character. Text after a closing
quote, and a carriage return outside of quotes, make a record unreadable. (csv and pyarrow guess in both cases.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

State = Literal["closed", "open", "broken"]
"""Outside of quotes at the end of a line, inside them, or unreadable."""

_QUOTE, _CR, _LF = b'"\r\n'

_INSIDE = rb'(?:[^"]++|"")*+'


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a line may be, for one delimiter."""

    closed: re.Pattern[bytes]
    opened: re.Pattern[bytes]
    closes: re.Pattern[bytes]
    reopens: re.Pattern[bytes]
    stays: re.Pattern[bytes]

    def first(self, line: bytes) -> State:
        """State at the end of a line that starts a record."""
        if self.closed.fullmatch(line):
            return "closed"
        return "open" if self.opened.fullmatch(line) else "broken"

    def further(self, line: bytes) -> State:
        """State at the end of a line that starts inside of quotes."""
        if self.stays.fullmatch(line) or self.reopens.fullmatch(line):
            return "open"
        return "closed" if self.closes.fullmatch(line) else "broken"


def grammar(delimiter: str) -> Grammar:
    """The grammar of lines with this delimiter."""
    d = re.escape(delimiter.encode())
    cell = rb'(?:"' + _INSIDE + rb'"|(?:[^"\r' + d + rb"][^\r" + d + rb"]*+)?)"
    more = rb"(?:" + d + cell + rb")*+"
    # After the last delimiter a quote opens a cell that the line does not close.
    upto = rb"(?:" + cell + d + rb")*+"
    return Grammar(
        closed=re.compile(cell + more, re.DOTALL),
        opened=re.compile(upto + b'"' + _INSIDE, re.DOTALL),
        closes=re.compile(_INSIDE + b'"' + more, re.DOTALL),
        reopens=re.compile(_INSIDE + b'"' + d + upto + b'"' + _INSIDE, re.DOTALL),
        stays=re.compile(_INSIDE, re.DOTALL),
    )


def odd_lines(
    octets: npt.NDArray[np.uint8], newlines: npt.NDArray[np.int64], delimiter: str
) -> npt.NDArray[np.int64]:
    """Lines that the grammar must look at: those that are not plainly one record with well-formed quotes.

    Parameters
    ----------
    octets
        uint8, lines of text.
    newlines
        int64[n], where their line feeds stand; the last may stand just beyond the text.

    Returns
    -------
    int64[m]
        Indices of lines, ascending.
    """
    quotes = np.flatnonzero(octets == _QUOTE)
    line = np.searchsorted(newlines, quotes)
    first_of_line = np.searchsorted(quotes, newlines[line - 1] + 1)
    first_of_line[line == 0] = 0
    opening = (np.arange(len(quotes)) - first_of_line) % 2 == 0
    edges = [_LF, _QUOTE, ord(delimiter)]
    before = np.where(quotes == 0, _LF, octets[quotes - 1])
    after = np.where(quotes == len(octets) - 1, _LF, octets[np.minimum(quotes + 1, len(octets) - 1)])
    # A quote before an opening one must itself be a closing one: then the two are a doubled quote.
    plain = np.where(opening, np.isin(before, edges), np.isin(after, [*edges, _CR]))
    unpaired = np.flatnonzero(np.bincount(line, minlength=len(newlines)) % 2)
    returns = np.flatnonzero(octets[:-1] == _CR)
    returns = returns[octets[returns + 1] != _LF]
    odd = [line[~plain], unpaired, np.searchsorted(newlines, returns)]
    return np.unique(np.concatenate(odd))
