"""Options that several commands take, each said once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from k2app.cli import completion
from k2app.load.profiles import SequenceMode
from k2app.market.topics import DataType


class Form(StrEnum):
    """Form of what is printed."""

    TABLE = "table"
    JSON = "json"


Output = Annotated[Form, typer.Option("--output", "-o", help="Form of what is printed.")]

Type = Annotated[DataType, typer.Option("--type", help="What the files hold.")]

Exchange = Annotated[
    str | None,
    typer.Option(help="Whose files; default: the profile's.", autocompletion=completion.exchanges),
]

Profile = Annotated[
    str,
    typer.Option(
        help="Shape of the files: a name, or the path of a .toml file.", autocompletion=completion.profiles
    ),
]

Symbol = Annotated[str | None, typer.Option(help="Symbol of every row.")]

Reference = Annotated[Path | None, typer.Option(help="Reference data that maps a file's name to its symbol.")]

Sequence = Annotated[
    SequenceMode | None, typer.Option(help="Where sequence numbers come from; default: the profile's.")
]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only look, and say what would be done.")]
