"""Writes the client's methods and paths from the queries themselves: python docs/client_methods.py."""

from __future__ import annotations

import builtins
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from k2app.errors import RequestError
from k2app.query.queries import QUERIES
from k2app.query.query import Query
from k2app.query.requests import make, parameters

FOLDER = Path(__file__).parents[1] / "k2app" / "client"

LEFT_OUT = frozenset({"format", "control", "numbers"})
"""Parameters about the text of answers: the client's have types."""

METHODS_HEAD = '''"""A method for every query. Written by `make docs`; not by hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from k2app.client.answer import Answer
from k2app.client.values import {values}


class Methods(ABC):
    """The queries by name, each with the parameters it takes."""

    @abstractmethod
    def query(self, query: str, /, **parameters: object) -> Answer:
        """Ask any query by its name."""
'''

PATHS_HEAD = '''"""Where a server answers each query. Written by `make docs`; not by hand."""

from __future__ import annotations
'''

TYPES = {
    "date-time": "Time",
    "date": "Day",
    "decimal": "Amount",
    "integer": "int",
    "boolean": "bool",
    "string": "str",
}
"""Type of a parameter, by JSON schema format or type."""

SAMPLES = {"date": "2026-01-05", "date-time": "2026-01-05T00:00:00Z", "integer": "1"}
"""A value of each required parameter, by the same."""

VALUES = ("Amount", "Day", "Names", "Time")
"""Types of `k2app.client.values`."""

WIDTH = 110
"""Characters of a line."""


def methods() -> str:
    """Text of `methods.py`."""
    made = "".join(map(_method, QUERIES))
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


def _method(query: Query) -> str:
    fields = _fields(query)
    inside = re.findall(r"{(\w+)}", query.path)
    taken = [*(f for f in inside), *(["*"] if len(fields) > len(inside) else []), *_rest(query, inside)]
    lines = [
        f"    def {query.name.replace('-', '_')}(",
        "        self,",
        *(f"        {_declared(query, name)}" for name in taken),
        "    ) -> Answer:",
        *_docstring(query, [name for name in taken if name != "*"]),
        "        return self.query(",
        f'            "{query.name}",',
        *(f"            {_python(n)}={_passed(query, n)}," for n in taken if n != "*"),
        "        )",
    ]
    return "\n" + "\n".join(lines) + "\n"


def _fields(query: Query) -> dict[str, FieldInfo]:
    """Parameters by name: those it needs first, then its own before those it shares with others."""
    owners = [owner for owner in query.request.__mro__ if issubclass(owner, BaseModel)]
    own_first = dict.fromkeys(name for owner in owners for name in owner.__annotations__)
    fields = query.request.model_fields
    found = {fields[n].alias or n: fields[n] for n in own_first if n in fields and n not in LEFT_OUT}
    return dict(sorted(found.items(), key=lambda entry: not entry[1].is_required()))


def _rest(query: Query, inside: list[str]) -> Iterator[str]:
    return (name for name in _fields(query) if name not in inside)


def _declared(query: Query, name: str) -> str:
    if name == "*":
        return "*,"
    kind = _type(query, name)
    shadows = "  # noqa: A002 - the parameter's name" if name in dir(builtins) else ""
    if _fields(query)[name].is_required():
        return f"{_python(name)}: {kind},{shadows}"
    default = "bool = False" if kind == "bool" else f"{kind} | None = None"
    return f"{_python(name)}: {default},{shadows}"


def _passed(query: Query, name: str) -> str:
    return f"{_python(name)} or None" if _type(query, name) == "bool" else _python(name)


def _python(name: str) -> str:
    return "from_" if name == "from" else name


def _schema(query: Query) -> dict[str, Any]:
    properties: dict[str, Any] = query.request.model_json_schema()["properties"]
    return properties


def _type(query: Query, name: str) -> str:
    schema = _schema(query)[name]
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


def _docstring(query: Query, names: list[str]) -> Iterator[str]:
    indent = " " * 8
    first, _, more = _summary(query.about)
    yield f'{indent}"""{first}'
    if more:
        yield from ("", *textwrap.wrap(more, WIDTH, initial_indent=indent, subsequent_indent=indent))
    yield from ("", f"{indent}Parameters", f"{indent}----------")
    for name in names:
        yield indent + _python(name)
        yield from textwrap.wrap(_about(query, name), WIDTH - 12, initial_indent=indent + "    ",
                                 subsequent_indent=indent + "    ")  # fmt: skip
    yield f'{indent}"""'


def _summary(about: str) -> tuple[str, str, str]:
    """Its first line, and what follows it where one line does not hold all."""
    if len(about) <= WIDTH - 14:
        return about, "", ""
    head, sign, tail = about.partition("; " if "; " in about else ": ")
    return f"{head}.", sign, tail[:1].upper() + tail[1:]


def _about(query: Query, name: str) -> str:
    field = _fields(query)[name]
    text = (field.description or "").rstrip()
    if name == "limit":
        return "Rows, at most; without it, all of them."
    default = (
        "" if field.is_required() or field.default in (None, False, ()) else f" Default: {field.default}."
    )
    return text + default


if __name__ == "__main__":
    (FOLDER / "methods.py").write_text(methods())
    (FOLDER / "paths.py").write_text(paths())
