"""The watermark of a partition's sequence states, as changelog and table hold it. Knows no Faust."""

from __future__ import annotations

import json

from k2app.ingest.states import Watermark
from k2app.logs import get

logger = get(__name__)

WATERMARK_KEY = b'"watermark"'
"""Key of the watermark: state keys hold a `|`, so it cannot be one of them."""


def watermark_from_json(value: bytes) -> Watermark | None:
    """A watermark as it was written; None if it cannot be read."""
    try:
        return Watermark(**json.loads(value))
    except (ValueError, TypeError) as error:
        logger.warning("watermark cannot be read, the states will be rebuilt", error=str(error))
        return None
