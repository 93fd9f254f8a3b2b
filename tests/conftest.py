"""Fixtures that any test may use."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import postgres
import psycopg
import pytest
from hypothesis import settings

# The same examples in every run of CI: what it says is about the change. Local runs keep searching.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

DATABASE_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[postgres.Cluster]:
    """One PostgreSQL server for the test run; skips where none is installed."""
    reason = postgres.missing()
    if reason:
        pytest.skip(reason)
    with postgres.cluster() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_cluster: postgres.Cluster) -> Iterator[str]:
    """The URL of a fresh database, which is gone afterwards: a server that crashed syncs all it has."""
    name = f"test_{next(DATABASE_NUMBERS)}"
    with psycopg.connect(postgres_cluster.url("postgres"), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
    yield postgres_cluster.url(name)
    with psycopg.connect(postgres_cluster.url("postgres"), autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")
