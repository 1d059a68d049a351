"""The schema registry: embedded in the log's file, or a Confluent-compatible server.

Both give ids to schema texts under subjects; the id stands in every message. A schema never changes under its id,
so what was read once is kept.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Protocol

import httpx
import stamina
from schema_registry.client.errors import ClientError
from schema_registry.client.schema import AvroSchema

from k2app.avro.compatibility import incompatibility
from k2app.avro.schema import parse
from k2app.errors import OperatorError, TransientError
from k2app.settings import RegistrySettings, Settings, shown_url
from k2app.stream.log_file import LogFile
from k2app.stream.log_path import log_path
from k2app.stream.registry_client import RegistryClient, is_blame, is_login, is_untrusted

COMPATIBILITY = "BACKWARD"
"""Rule of our subjects: a new schema can read what the previous one wrote."""

ATTEMPTS = 5
"""Times that a subject is tried: workers that start together make the same ones, and a server refuses all but one."""

PAUSE_S = 0.2
"""Most seconds between two attempts: a request takes a tenth of it."""


class Registry(Protocol):
    """What K2 asks of a schema registry. Calls block; use them on a thread."""

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """Register `schema` under `subject` and return its id; the same schema keeps its id.

        Raises `OperatorError` if the registry refuses it as incompatible, `TransientError` if it cannot be reached.
        """

    def check(self, subject: str, schema: dict[str, Any]) -> None:
        """Check that `register` would take a schema; changes nothing. Raises what `register` raises."""

    def registered(self, subject: str, schema: dict[str, Any]) -> int | None:
        """Id of `schema` under `subject`; None: it is not there. Changes nothing. Raises `TransientError`."""

    def schema(self, schema_id: int) -> str | None:
        """Text of a schema; None if the registry says that there is none. Raises `TransientError`."""


def canonical(schema: dict[str, Any]) -> str:
    """One text per schema, whatever the white space of its file."""
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)


class EmbeddedRegistry:
    """Registry in the embedded log's file, which keeps the same rule as `COMPATIBILITY` asks of a server.

    One lock: the connection is used by one thread at a time.
    """

    def __init__(self, log: LogFile) -> None:
        self._log = log
        self._lock = threading.Lock()

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """See `Registry.register`."""
        self.check(subject, schema)
        with self._lock:
            return self._log.register(subject, canonical(schema))

    def check(self, subject: str, schema: dict[str, Any]) -> None:
        """See `Registry.check`."""
        text = canonical(schema)
        with self._lock:
            known = self._log.subject_schemas(subject)
        if known and text not in {found for _, found in known}:
            _check_compatible(subject, known[-1][1], text)

    def registered(self, subject: str, schema: dict[str, Any]) -> int | None:
        """See `Registry.registered`."""
        text = canonical(schema)
        with self._lock:
            return next((i for i, found in self._log.subject_schemas(subject) if found == text), None)

    def schema(self, schema_id: int) -> str | None:
        """See `Registry.schema`."""
        with self._lock:
            return self._log.schema_text(schema_id)


def _check_compatible(subject: str, latest: str, text: str) -> None:
    reason = incompatibility(parse(latest), parse(text))
    if reason is not None:
        raise OperatorError(
            f"the schema registry in the log's file refuses subject {subject}: the new schema does not read what the "
            f"one before it wrote ({COMPATIBILITY}): {reason}"
        )


class HttpRegistry:
    """Confluent-compatible registry over HTTP."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._url = shown_url(settings.url)
        self._client = RegistryClient(settings)

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """See `Registry.register`."""
        with self._judging(subject):
            return self._register(subject, schema)

    def check(self, subject: str, schema: dict[str, Any]) -> None:
        """See `Registry.check`."""
        with self._judging(subject):
            if self._client.check_version(subject, AvroSchema(schema)) is not None:
                return
            # False where there is no such subject yet.
            found = self._client.test_compatibility(subject, AvroSchema(schema), verbose=True)
            if isinstance(found, dict) and not found.get("is_compatible", True):
                # Not every registry gives its reasons here; when it refuses to register, every one does.
                self._register(subject, schema)

    @contextmanager
    def _judging(self, subject: str) -> Iterator[None]:
        """What a registry says of a schema, as errors."""
        try:
            yield
        except ClientError as error:
            if is_login(error):
                raise OperatorError(self._refusal(error)) from error
            if not is_blame(error):
                raise self._unreachable(error) from error
            raise OperatorError(
                f"the schema registry {self._url} refuses subject {subject}: {error.message}: "
                f"{error.server_traceback}"
            ) from error
        except httpx.HTTPError as error:
            if is_untrusted(error):
                raise OperatorError(
                    f"no encrypted connection to the schema registry {self._url}: {error}; see K2_REGISTRY_CA_FILE and "
                    "K2_REGISTRY_CERTIFICATE_FILE"
                ) from error
            raise self._unreachable(error) from error

    def _register(self, subject: str, schema: dict[str, Any]) -> int:
        for attempt in stamina.retry_context(
            on=_is_conflict, attempts=ATTEMPTS, timeout=None, wait_max=PAUSE_S
        ):
            with attempt:
                self._client.update_compatibility(level=COMPATIBILITY, subject=subject)
                return int(self._client.register(subject, AvroSchema(schema)))
        raise AssertionError("retry_context returns or raises")  # pragma: no cover - for the type checker

    def registered(self, subject: str, schema: dict[str, Any]) -> int | None:
        """See `Registry.registered`."""
        with self._answering():
            found = self._client.check_version(subject, AvroSchema(schema))
        return None if found is None else int(found.schema_id)

    def schema(self, schema_id: int) -> str | None:
        """See `Registry.schema`."""
        with self._answering():
            found = self._client.get_by_id(schema_id)
        return None if found is None else json.dumps(found.raw_schema)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            # A login that worked at the start may work again: nothing is known about the messages.
            trouble = TransientError(self._refusal(error)) if is_login(error) else self._unreachable(error)
            raise trouble from error
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _refusal(self, error: ClientError) -> str:
        return (
            f"the schema registry {self._url} refuses the login (HTTP {error.http_code}); see K2_REGISTRY_USERNAME and "
            "K2_REGISTRY_PASSWORD"
        )

    def _unreachable(self, error: Exception) -> TransientError:
        return TransientError(f"the schema registry {self._url} cannot be reached: {error!r}")


def _is_conflict(error: Exception) -> bool:
    """Whether a subject is in the way: an incompatible one, or one that another process makes at this moment."""
    return isinstance(error, ClientError) and error.http_code == HTTPStatus.CONFLICT


def open_registry(settings: Settings, log: LogFile | None) -> Registry:
    """Open the registry that the settings name; the embedded one lives in `log`.

    Raises
    ------
    OperatorError
        No URL is set and there is no embedded log to hold one.
    """
    if settings.registry.url.startswith("sqlite:"):
        return EmbeddedRegistry(LogFile(log_path(settings.registry.url, "K2_REGISTRY_URL")))
    if settings.registry.url:
        return HttpRegistry(settings.registry)
    if log is None:
        raise OperatorError(
            "K2_REGISTRY_URL is not set: with Kafka, schemas need a registry of their own (http://..., or "
            "sqlite:///PATH on one machine)"
        )
    return EmbeddedRegistry(log)
