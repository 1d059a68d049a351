"""Writes docs/cli.md from the commands themselves: python docs/cli_page.py."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from page_text import WRITTEN, code, table
from typer.main import get_command

from k2app.cli.ending import STATUSES
from k2app.cli.k2 import app as k2
from k2app.cli.k2_query import app as k2_query

PAGE = Path(__file__).with_name("cli.md")

HEAD = f"""# Commands

{WRITTEN}

`k2` sets up, loads, runs and looks after a lake; `k2-query` asks it. Both take their settings from the environment and
from `.env` ([settings.md](settings.md)); `--help` of every command says what stands here. `--install-completion` of
either teaches the shell to complete them.

{STATUSES} Results go to
standard output; warnings, progress, logs and errors (one line each) go to standard error.

"""

TYPES: dict[object, str] = {int: "N", float: "N", Path: "PATH"}
"""What stands for a value, by its type."""

DEFAULT = re.compile(r"\(default: (.+)\)$")
"""A default that the help of a query's option names, which takes it as text."""

OF_ALL = """Every query takes these, too:

"""


def page() -> str:
    """The page."""
    one, two = get_command(k2), get_command(k2_query)
    shared = _shared(two)
    return (
        HEAD
        + _list(("k2", one), ("k2-query", two))
        + "## k2\n\n"
        + "".join(_command(path, command) for path, command in _leaves("k2", one))
        + "## k2-query\n\n"
        + OF_ALL
        + _options(shared)
        + "".join(
            _command(path, command, {option.name for option in shared})
            for path, command in _leaves("k2-query", two)
        )
    ).rstrip() + "\n"


def _list(*programs: tuple[str, Any]) -> str:
    rows = (
        (f"[`{path}`](#{_anchor(path, command)})", _about(command).partition("\n")[0])
        for program, group in programs
        for path, command in _leaves(program, group)
    )
    return table(("command", "what"), rows)


def _leaves(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Commands that do something, by the words that call them."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, one in below.items():
        yield from _leaves(f"{path} {name}", one)


def _command(path: str, command: Any, known: Iterable[str | None] = ()) -> str:
    named = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name not in known]
    examples = "".join(f"{example}\n" for example in _examples(command))
    return (
        f"### {_title(path, command)}\n\n{_about(command)}\n\n"
        + table(("argument", "meaning"), ((code(_usage(p)), _meaning(p)) for p in named))
        + _options(options)
        + f"```sh\n{examples}```\n\n"
    )


def _title(path: str, command: Any) -> str:
    named = [_usage(p) for p in command.params if p.param_type_name == "argument"]
    return " ".join((path, *named))


def _anchor(path: str, command: Any) -> str:
    """Anchor of a heading, as GitHub makes it."""
    kept = re.sub(r"[^\w\- ]", "", _title(path, command).lower())
    return kept.replace(" ", "-")


def _usage(parameter: Any) -> str:
    shown = parameter.metavar or (parameter.name or "").upper()
    several = parameter.nargs == -1 and not shown.endswith("...")
    return f"{shown}..." if several else shown


def _options(options: Iterable[Any]) -> str:
    rows = (
        (
            ", ".join(map(code, option.opts)),
            code(_takes(option)),
            "required" if option.required else code(_default(option)),
            _meaning(option),
        )
        for option in options
        if option.name not in {"help", "install_completion", "show_completion"}
    )
    return table(("option", "takes", "default", "meaning"), rows)


def _takes(option: Any) -> str:
    if option.is_flag:
        return ""
    if option.metavar is not None:
        return str(option.metavar)
    kind = option.type_descriptor.annotation
    if get_origin(kind) is list:
        kind = get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(one.value) for one in kind)
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    low = "" if option.min is None else f" from {option.min:g}"
    high = "" if option.max is None else f" to {option.max:g}"
    return f"{TYPES.get(kind, 'TEXT')}{low}{high}"


def _default(option: Any) -> str:
    value = option.default
    if value is None or value is False or callable(value):
        said = DEFAULT.search(option.help or "")
        return said[1] if said else ""
    return str(getattr(value, "value", value))


def _meaning(parameter: Any) -> str:
    text = DEFAULT.sub("", parameter.help or "").rstrip()
    return f"{text} Environment: `{parameter.envvar}`." if parameter.envvar else text


def _about(command: Any) -> str:
    text = command.help or ""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text.strip())


def _examples(command: Any) -> list[str]:
    return re.findall(r"`((?:K2_\w+=\S+ )*k2[ -][^`]*)`", command.epilog or "")


def _shared(group: Any) -> list[Any]:
    """Options that all commands of a group have, alike."""
    commands = [command for _, command in _leaves("", group)]
    by_name = [{p.name: (p.opts, getattr(p, "help", "")) for p in c.params} for c in commands]
    return [
        option
        for option in commands[0].params
        if all(found.get(option.name) == by_name[0][option.name] for found in by_name)
    ]


if __name__ == "__main__":
    PAGE.write_text(page())
