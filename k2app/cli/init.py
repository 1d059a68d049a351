"""`k2 init`: make what is missing, and say what that was."""

from __future__ import annotations

from rich.console import Console

from k2app import topology
from k2app.lake.catalog import open_catalog
from k2app.settings import Settings
from k2app.stream.logs_by_url import open_log
from k2app.stream.registry import open_registry


def init_lake(settings: Settings, console: Console) -> None:
    """Make topics, subjects, namespace, tables and columns that are missing, and print them."""
    served = topology.topics(settings)
    log = open_log(settings)
    made = topology.initialise(
        settings, served, log, open_registry(settings, log.file), open_catalog(settings)
    )
    log.close()
    for topic in made.topics:
        console.print(f"topic    {topic}")
    for table in made.tables:
        console.print(f"table    {settings.lake.namespace}.{table}")
    for name, gained in made.grown.items():
        console.print(f"table    {settings.lake.namespace}.{name} gained {gained}", soft_wrap=True)
    if not made.topics and not made.tables and not made.grown:
        console.print("everything is there already")
    console.print(f"log      {settings.log_url} (id {log.log_id})", soft_wrap=True)
    console.print(f"lake     {settings.warehouse}", soft_wrap=True)
