"""A worker's page of metrics, by family."""

import asyncio
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

PREFIX = "k2_"
"""Beginning of our metrics; the others are Prometheus's own collectors'."""

SERIES = ("_bucket", "_created", "_sum")
"""Endings of samples that say nothing more than their family's others."""


@dataclass
class Page:
    """One scrape."""

    text: str
    values: dict[str, dict[frozenset, float]] = field(init=False)
    """Value by family and labels; of a histogram, how often it observed."""

    def __post_init__(self):
        """Read it."""
        self.values = {}
        for family in text_string_to_metric_families(self.text):
            if family.name.startswith(PREFIX):
                told = [s for s in family.samples if not s.name.endswith(SERIES)]
                self.values[family.name] = {frozenset(s.labels.items()): s.value for s in told}

    def total(self, family):
        """Sum of a family's series; 0 if there are none."""
        return sum(self.values.get(family, {}).values())

    def value(self, family, **labels):
        """Value of one series; None if there is none."""
        return self.values[family].get(frozenset(labels.items()))


async def scrape(base, key):
    """Scrape a worker that asks for keys."""
    async with httpx.AsyncClient(base_url=base, timeout=30.0) as client:
        answer = await client.get("/metrics", headers={"X-API-Key": key})
    assert 200 == answer.status_code
    return Page(answer.text)


async def scraped_until(base, key, holds, what, within_s=120.0):
    """Scrape until a page shows something, or fail by the deadline."""
    async with asyncio.timeout(within_s):
        while True:
            page = await scrape(base, key)
            if holds(page):
                return page
            await asyncio.sleep(0.05)
    raise AssertionError(what)
