"""A command for every query: arguments and options come from its request model, as HTTP's parameters do."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import WithJsonSchema
from pydantic.fields import FieldInfo

from k2app.cli import completion
from k2app.cli.output import Output
from k2app.query.queries import BARS_QUERY
from k2app.query.query import Query
from k2app.query.requests import is_repeatable, own_first

LEFT_OUT = frozenset({"format", "control"})
"""Parameters that only make sense over HTTP: `--output` says the form, exit statuses whether it is whole."""

_METAVARS = {"date-time": "TIME", "decimal": "DECIMAL", "duration": "DURATION"}
"""What stands for a value in the help, by the format of its JSON schema."""

_TYPES: dict[object, str] = {int: "N", float: "N", Decimal: "DECIMAL", date: "YYYY-MM-DD"}
"""The same by its type."""

_COMPLETED = {"exchange": completion.exchanges}

Run = Callable[[Query, dict[str, Any]], None]
"""Answers a query; takes its options by name of the field, and `output`, `url`, `key`, of bars `chart`."""


def add_commands(app: typer.Typer, queries: Iterable[Query], run: Run) -> None:
    """Add a command for each query."""
    for query in queries:
        app.command(name=query.name, help=query.about, epilog=_examples(query))(command(query, run))


def command(query: Query, run: Run) -> Callable[..., None]:
    """Make the function that Typer turns into a command."""

    def call(**given: Any) -> None:
        run(query, given)

    parameters = [*_parameters(query), *_further(query), *_common()]
    call.__name__ = query.name.replace("-", "_")
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect looks for
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def texts(query: Query, given: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Options that were given, as HTTP would have them: name and text, repeated ones several times."""
    for field, value in given.items():
        if field not in query.request.model_fields or value is None or value is False:
            continue
        name = query.request.model_fields[field].alias or field
        for text in value if isinstance(value, list) else [value]:
            yield name, "true" if text is True else text


def _parameters(query: Query) -> list[inspect.Parameter]:
    fields = {name: field for name, field in own_first(query.request).items() if name not in LEFT_OUT}
    arguments = re.findall(r"{(\w+)}", query.path)
    ordered = [*arguments, *(name for name in fields if name not in arguments)]
    return [_parameter(query, name, fields[name], is_argument=name in arguments) for name in ordered]


def _parameter(query: Query, name: str, field: FieldInfo, *, is_argument: bool) -> inspect.Parameter:
    shown = field.alias or name
    metavar = _metavar(shown, field)
    text = (field.description or "") + _default(field)
    if is_argument:
        return _made(name, str, typer.Argument(help=text, metavar=metavar, show_default=False))
    option = f"--{shown.replace('_', '-')}"
    if field.annotation is bool:
        return _made(name, bool, typer.Option(option, help=text, show_default=False), default=False)
    kind = list[str] if is_repeatable(query.request, shown) else str
    completed = _COMPLETED.get(name)
    if field.is_required():
        return _made(name, kind, typer.Option(option, help=text, metavar=metavar))
    taken = typer.Option(option, help=text, metavar=metavar, show_default=False, autocompletion=completed)
    return _made(name, kind | None, taken, default=None)


def _further(query: Query) -> list[inspect.Parameter]:
    """Options that only make sense on a terminal."""
    if query is not BARS_QUERY:
        return []
    chart = typer.Option("--chart", help="Draw candles instead of a table.", show_default=False)
    return [_made("chart", bool, chart, default=False)]


def _common() -> list[inspect.Parameter]:
    url = typer.Option(
        "--url",
        envvar="K2_URL",
        metavar="URL",
        help="Ask this server instead of the lake.",
        show_default=False,
    )
    key = typer.Option(
        "--key", envvar="K2_KEY", metavar="KEY", help="API key for the server.", show_default=False
    )
    output = typer.Option("--output", "-o", help="Form of the result.")
    return [
        _made("url", str | None, url, default=None),
        _made("key", str | None, key, default=None),
        _made("output", Output, output, default=Output.TABLE),
    ]


def _made(name: str, kind: Any, taken: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    annotation = Annotated[kind, taken]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _metavar(name: str, field: FieldInfo) -> str:
    # Not by the model's JSON schema: to build every model takes half a second, at each start.
    parts = [*field.metadata, *_parts(field.annotation)]
    formats = (part.json_schema for part in parts if isinstance(part, WithJsonSchema) and part.json_schema)
    shown = [_METAVARS.get(str(schema.get("format")), "") for schema in formats]
    shown += ["|".join(get_args(part)) for part in parts if get_origin(part) is Literal]
    shown += [_TYPES[part] for part in parts if isinstance(part, type) and part in _TYPES]
    return next(filter(None, shown), name.upper())


def _parts(annotation: object) -> Iterator[object]:
    """Types and metadata that an annotation is made of."""
    yield annotation
    if get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _parts(part)


def _default(field: FieldInfo) -> str:
    return "" if field.is_required() or field.default in (None, False, ()) else f" (default: {field.default})"


def _examples(query: Query) -> str:
    """Examples as the help shows them."""
    return "Examples: " + " · ".join(f"`k2-query {example}`" for example in query.examples)
