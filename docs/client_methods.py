"""Writes the client's methods and paths from the queries themselves: python docs/client_methods.py."""

from __future__ import annotations

import builtins
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from k2app.errors import RequestError
from k2app.query.queries import QUERIES
from k2app.query.query import Query
from k2app.query.replay.query import REPLAY_QUERY
from k2app.query.requests import make, parameters

FOLDER = Path(__file__).parents[1] / "k2app" / "client"

LEFT_OUT = frozenset({"format", "control", "numbers"})
"""Parameters about the text of answers: the client's have types."""

METHODS_HEAD = '''"""A method for every query. Written by `make docs`; not by hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Literal, TypeVar

from k2app.client.values import {values}

Asked = TypeVar("Asked")

Replayed = TypeVar("Replayed")


class Methods(ABC, Generic[Asked, Replayed]):
    """The queries by name, each with the parameters it takes; what they return is what `query` does."""

    @abstractmethod
    def query(self, query: str, /, **parameters: object) -> Asked:
        """Ask any query by its name."""

    @abstractmethod
    def _replay(self, **parameters: object) -> Replayed: ...

    @abstractmethod
    def _replay_batches(self, **parameters: object) -> Asked: ...
'''

PATHS_HEAD = '''"""Where a server answers each query. Written by `make docs`; not by hand."""

from __future__ import annotations
'''

TYPES = {
    "date-time": "Time",
    "date": "Day",
    "decimal": "Amount",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "string": "str",
}
"""Type of a parameter, by JSON schema format or type."""

OWN_TYPES = {"speed": "float | str"}
"""Type of a parameter that takes more than its schema says, by name."""

SAMPLES = {"date": "2026-01-05", "date-time": "2026-01-05T00:00:00Z", "integer": "1"}
"""A value of each required parameter, by the same."""

VALUES = ("Amount", "Day", "Names", "Time")
"""Types of `k2app.client.values`."""

WIDTH = 110
"""Characters of a line."""


class Made(NamedTuple):
    """A method to write.

    Parameters
    ----------
    query
        Whose parameters it takes.
    name, about
        Its own, and what it does.
    call
        What it calls, up to the parameters.
    returns
        Type of what that returns.
    without
        Parameters that it does not take.
    """

    query: Query
    name: str
    about: str
    call: str
    returns: str = "Asked"
    without: frozenset[str] = LEFT_OUT


REPLAYS = (
    Made(
        REPLAY_QUERY,
        "replay",
        "Trades and quotes as they happened, a record at a time, as fast as they are taken or paced.",
        "self._replay(",
        "Replayed",
    ),
    Made(
        REPLAY_QUERY,
        "replay_batches",
        "The records of a replay as fast as they can be read: `record` first, then the columns of both tables.",
        "self._replay_batches(",
        without=LEFT_OUT | {"speed", "rate"},
    ),
)
"""A replay's two methods."""


def methods() -> str:
    """Text of `methods.py`."""
    plain = (
        Made(one, one.name.replace("-", "_"), one.about, f'self.query("{one.name}", ') for one in QUERIES
    )
    made = "".join(map(_method, (*plain, *REPLAYS)))
    used = (name for name in VALUES if re.search(rf": {name}\b", made))
    return _formatted(METHODS_HEAD.replace("{values}", ", ".join(used)) + made)


def paths() -> str:
    """Text of `paths.py`."""
    lines = "".join(f'    "{query.name}": "{query.path}",\n' for query in QUERIES)
    return _formatted(
        f'{PATHS_HEAD}\nPATHS = {{\n{lines}}}\n"""Path by name."""\n\n'
        f'PAGED = frozenset({{{_names(_is_paged)}}})\n"""Queries whose streams take any limit."""\n\n'
        f'UNPINNED = frozenset({{{_names(_is_unpinned)}}})\n"""Queries that take no `snapshots`."""\n'
    )


def _formatted(text: str) -> str:
    """Text as `make format` leaves it."""
    command = [sys.executable, "-m", "ruff", "format", "-"]
    done = subprocess.run(command, check=True, input=text, capture_output=True, text=True)  # noqa: S603 - our own text
    return done.stdout


def _names(fits: Any) -> str:
    return ", ".join(f'"{query.name}"' for query in QUERIES if fits(query))


def _is_paged(query: Query) -> bool:
    return query.stream is not None and "cursor" in query.request.model_fields


def _is_unpinned(query: Query) -> bool:
    schema = _schema(query)
    needed = {
        name: SAMPLES.get(_kind(schema[name]), "x")
        for name, field in parameters(query.request).items()
        if field.is_required()
    }
    try:
        make(query.request, **needed, snapshots="trades:1")
    except RequestError as error:
        if error.parameter != "snapshots":
            raise
        return True
    return False


def _method(made: Made) -> str:
    fields = _fields(made)
    inside = re.findall(r"{(\w+)}", made.query.path)
    rest = [name for name in fields if name not in inside]
    taken = [*inside, *(["*"] if rest else []), *rest]
    lines = [
        f"    def {made.name}(",
        "        self,",
        *(f"        {_declared(made, name)}" for name in taken),
        f"    ) -> {made.returns}:",
        *_docstring(made, [*inside, *rest]),
        f"        return {made.call}",
        *(f"            {_python(name)}={_passed(made, name)}," for name in (*inside, *rest)),
        "        )",
    ]
    return "\n" + "\n".join(lines) + "\n"


def _fields(made: Made) -> dict[str, FieldInfo]:
    """Parameters by name: those it needs first, then its own before those it shares with others."""
    found = {n: field for n, field in parameters(made.query.request).items() if n not in made.without}
    return dict(sorted(found.items(), key=lambda entry: not entry[1].is_required()))


def _declared(made: Made, name: str) -> str:
    if name == "*":
        return "*,"
    kind = _type(made, name)
    shadows = "  # noqa: A002 - the parameter's name" if name in dir(builtins) else ""
    if _fields(made)[name].is_required():
        return f"{_python(name)}: {kind},{shadows}"
    default = "bool = False" if kind == "bool" else f"{kind} | None = None"
    return f"{_python(name)}: {default},{shadows}"


def _passed(made: Made, name: str) -> str:
    return f"{_python(name)} or None" if _type(made, name) == "bool" else _python(name)


def _python(name: str) -> str:
    return "from_" if name == "from" else name


def _schema(query: Query) -> dict[str, Any]:
    properties: dict[str, Any] = query.request.model_json_schema()["properties"]
    return properties


def _type(made: Made, name: str) -> str:
    if name in OWN_TYPES:
        return OWN_TYPES[name]
    schema = _schema(made.query)[name]
    if schema.get("type") == "array":
        return "Names"
    for choice in (schema, *schema.get("anyOf", ())):
        if "enum" in choice:
            return f"Literal[{', '.join(_quoted(value) for value in choice['enum'])}]"
    return TYPES[_kind(schema)]


def _kind(schema: dict[str, Any]) -> str:
    """Format or type, the first that is known."""
    choices = (schema, *schema.get("anyOf", ()))
    named = (choice.get(key) for choice in choices for key in ("format", "type"))
    return next(name for name in named if name in TYPES)


def _quoted(value: str) -> str:
    return f'"{value}"'


def _docstring(made: Made, names: list[str]) -> Iterator[str]:
    indent = " " * 8
    first, _, more = _summary(made.about)
    yield f'{indent}"""{first}'
    if more:
        yield from ("", *textwrap.wrap(more, WIDTH, initial_indent=indent, subsequent_indent=indent))
    yield from ("", f"{indent}Parameters", f"{indent}----------")
    for name in names:
        yield indent + _python(name)
        yield from textwrap.wrap(_about(made, name), WIDTH - 12, initial_indent=indent + "    ",
                                 subsequent_indent=indent + "    ")  # fmt: skip
    yield f'{indent}"""'


def _summary(about: str) -> tuple[str, str, str]:
    """Its first line, and what follows it where one line does not hold all."""
    if len(about) <= WIDTH - 14:
        return about, "", ""
    head, sign, tail = about.partition("; " if "; " in about else ": ")
    return f"{head}.", sign, tail[:1].upper() + tail[1:]


def _about(made: Made, name: str) -> str:
    field = _fields(made)[name]
    text: str = (field.description or "").rstrip()
    if name == "limit":
        return "Rows, at most; without it, all of them."
    default = (
        "" if field.is_required() or field.default in (None, False, ()) else f" Default: {field.default}."
    )
    return text + default


if __name__ == "__main__":
    (FOLDER / "methods.py").write_text(methods())
    (FOLDER / "paths.py").write_text(paths())
