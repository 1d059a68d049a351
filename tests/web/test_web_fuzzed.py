"""The OpenAPI document as a source of requests, right ones and wrong ones."""

from __future__ import annotations

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.web.live import live, small_lake
from web.openapi import SERVED, document

EXAMPLES = 12
"""Requests per path and mode: a few seconds in all; the seed is fixed, so that a failure is there again."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with small_lake(tmp_path_factory.mktemp("fuzzed")) as lake, live(lake, {"rate": ""}) as running:
        yield running


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("query", SERVED, ids=lambda query: query.name)
def test_every_answer_is_a_documented_one(site, query, mode):
    """No 5xx; status, content type, headers and body as the document says, whatever is asked."""
    operation = schemathesis.openapi.from_dict(document())[query.path]["GET"]

    @seed(20260105)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        case.call_and_validate(base_url=site.base, checks=CHECKS, timeout=20)

    ask()


def test_the_server_is_well_afterwards(site):
    """Nothing of it is left in the server."""
    assert 200 == httpx.get(f"{site.base}/health/ready").status_code
