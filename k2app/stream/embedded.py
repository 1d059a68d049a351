"""Faust transport over the embedded log: the default, with nothing to install.

Several processes may append; one consumes, held by a lock of the operating system on a file beside the log.
"""

from __future__ import annotations

from typing import Any, ClassVar

from faust.transport import base

from k2app.stream.embedded_consumer import Consumer
from k2app.stream.embedded_producer import Producer
from k2app.stream.log_file import LogFile
from k2app.stream.log_path import log_path


class Transport(base.Transport):
    """The embedded log as a Faust transport; the app carries what it needs (see `k2app.app`)."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    Producer: ClassVar[type[Producer]] = Producer
    driver_version = "sqlite"
    default_port = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = self.app.settings
        self.log_path = log_path(settings.log_url)
        self.synchronous: str = settings.log.synchronous
        self.fetch_rows: int = settings.log.fetch_rows
        self.fetch_bytes: int = settings.log.fetch_bytes
        self.waiting_bytes_limit: int = settings.log.waiting_bytes
        self.batch_topics: frozenset[str] = self.app.batch_topics

    def open_log(self) -> LogFile:
        """Open a connection for one role."""
        return LogFile(self.log_path, synchronous=self.synchronous)
