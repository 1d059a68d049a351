"""A schema registry whose answers are counted."""

from __future__ import annotations

from typing import Any

from k2app.metrics import RegistryMetrics
from k2app.stream.registry import Registry


class ObservedRegistry:
    """Counts what a registry says of the ids that records name."""

    def __init__(self, registry: Registry, metrics: RegistryMetrics) -> None:
        self._registry = registry
        self._metrics = metrics

    def schema(self, schema_id: int) -> str | None:
        """See `Registry.schema`."""
        outcome = "failed"
        try:
            with self._metrics.seconds.time():
                text = self._registry.schema(schema_id)
            outcome = "unknown" if text is None else "found"
            return text
        finally:
            self._metrics.requests.labels(outcome).inc()

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """See `Registry.register`."""
        return self._registry.register(subject, schema)

    def check(self, subject: str, schema: dict[str, Any]) -> None:
        """See `Registry.check`."""
        self._registry.check(subject, schema)

    def registered(self, subject: str, schema: dict[str, Any]) -> int | None:
        """See `Registry.registered`."""
        return self._registry.registered(subject, schema)
