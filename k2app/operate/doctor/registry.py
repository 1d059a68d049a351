"""The schema registry: whether it answers, and has our schemas under their subjects."""

from __future__ import annotations

from collections.abc import Iterator

import schemas
from k2app.operate.doctor.findings import Finding, failed, fine
from k2app.stream.registry import Registry
from k2app.topology import Topics

PART = "registry"


def look_at_registry(registry: Registry, served: Topics, where: str) -> Iterator[Finding]:
    """Ask for the newest schema of every subject that is served."""
    subjects = {topic.subject: topic.data_type.record for topic, _ in served.by_name.values()}
    missing = [
        subject
        for subject, record in subjects.items()
        if registry.registered(subject, schemas.newest(record)) is None
    ]
    yield fine(PART, f"{where} answers")
    if missing:
        yield failed(PART, f"our schema is not under {', '.join(missing)}", "run `k2 init`")
    else:
        yield fine(PART, f"{len(subjects)} subjects have the schemas of this version")
