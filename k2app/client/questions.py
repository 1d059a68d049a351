"""Where a server answers each query."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import quote

from k2app.client.parameters import Texts
from k2app.client.paths import PAGED, PATHS, UNPINNED
from k2app.errors import RequestError


@dataclass(frozen=True)
class Question:
    """A query as the server has it.

    Parameters
    ----------
    name, path
        As in `k2app.query.query.Query`.
    is_paged
        A limit ends its streams with a cursor, however large it is.
    takes_pins
        It may be asked on the snapshots that an answer named.
    """

    name: str
    path: str
    is_paged: bool
    takes_pins: bool

    def address(self, texts: Texts) -> tuple[str, Texts]:
        """Path with its parameters in place, and the parameters that are left.

        Raises
        ------
        RequestError
            One that the path takes is missing.
        """
        path, left = self.path, list(texts)
        for name in re.findall(r"{(\w+)}", self.path):
            given = next((entry for entry in left if entry[0] == name), None)
            if given is None or not given[1]:
                raise RequestError(name, f"is missing; {self.name} takes it")
            left.remove(given)
            path = path.replace(f"{{{name}}}", _segment(given[1]))
        return path, left


def question(name: str) -> Question:
    """Find a query; underscores stand for the hyphens of its name.

    Raises
    ------
    RequestError
        There is none of that name.
    """
    found = name.replace("_", "-")
    if found not in PATHS:
        near = get_close_matches(found, PATHS, n=1, cutoff=0.0)[0]
        raise RequestError("query", f"there is none called {name!r}; the nearest is {near}")
    return Question(found, PATHS[found], found in PAGED, found not in UNPINNED)


def _segment(text: str) -> str:
    """Text as one segment of a path; `..` would otherwise be taken for the one above."""
    quoted = quote(text, safe="")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")
