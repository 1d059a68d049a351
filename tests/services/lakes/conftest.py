"""Fixtures of the lake's services: each server starts when the first test of a process asks for it."""

import pytest

from tests.services import postgres, rest_catalog, s3
from tests.services.lakes.homes import on_postgres, on_rest


@pytest.fixture(scope="session")
def storage(tmp_path_factory):
    """A running S3 server."""
    with s3.server(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture(scope="session")
def database():
    """A running PostgreSQL."""
    with postgres.server() as found:
        yield found


@pytest.fixture(scope="session")
def rest(tmp_path_factory, storage):
    """A running REST catalog over the S3 server."""
    with rest_catalog.server(tmp_path_factory.mktemp("rest"), storage) as found:
        yield found


@pytest.fixture(params=["postgres", "rest"])
def lake(request, storage):
    """Environment of a new lake on S3, with either catalog."""
    if request.param == "postgres":
        return on_postgres(storage, request.getfixturevalue("database"))
    return on_rest(storage, request.getfixturevalue("rest"))
