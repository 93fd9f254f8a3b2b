"""What only the store on PostgreSQL does: fencing, and never guessing about a lost commit."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psycopg
import pytest
from postgres import Cluster

import lago_engine
from lago_engine.errors import ConflictError, UnavailableError
from lago_engine.store import CommitBatch, CommitUndecided, Store, open_store
from lago_engine.store import postgres as postgres_store

pytestmark = pytest.mark.postgres

Fault = Literal["reply_lost", "request_lost", "request_late", "half_open", "none"]


class Proxy:
    """Stands between client and server; `fault` befalls the next COMMIT, then it is spent."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.fault: Fault = "none"
        self._sockets: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        for end in self._sockets:
            _shut(end)
        for thread in self._threads:
            thread.join()
        for end in self._sockets:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            self._sockets += [client, server]
            for pump in (self._requests, self._replies):
                thread = threading.Thread(target=pump, args=(client, server))
                self._threads.append(thread)
                thread.start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        for data in _chunks(client):
            fault = self.fault
            if b"COMMIT" not in data or fault in ("none", "reply_lost"):
                _send(server, data)
                continue
            self.fault = "none"
            _shut(client)
            if fault == "half_open":
                return  # The server waits for a client that is gone.
            if fault == "request_late":
                time.sleep(0.5)
                _send(server, data)
                time.sleep(0.5)
            break
        _shut(server)

    def _replies(self, client: socket.socket, server: socket.socket) -> None:
        for data in _chunks(server):
            if self.fault == "reply_lost" and b"COMMIT" in data:
                self.fault = "none"
                break
            _send(client, data)
        _shut(client)


def _chunks(end: socket.socket) -> Iterator[bytes]:
    try:
        while data := end.recv(65536):
            yield data
    except OSError:
        return


def _send(end: socket.socket, data: bytes) -> None:
    with suppress(OSError):  # The other side may be gone.
        end.sendall(data)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(postgres_cluster: Cluster) -> Iterator[Proxy]:
    between = Proxy(postgres_cluster.port)
    yield between
    between.close()


@pytest.fixture
def proxied(
    proxy: Proxy, postgres_cluster: Cluster, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """A store behind the proxy whose server gives up dead transactions after a second."""
    monkeypatch.setattr(postgres_store, "IDLE_TIMEOUT_S", 1)
    store = open_store(None, postgres_cluster.url(postgres_url.rpartition("/")[2], proxy.port))
    yield store
    store.close()


@pytest.mark.parametrize("fault", ["reply_lost", "request_late"])
def test_a_commit_whose_confirmation_got_lost_is_found(
    proxied: Store, proxy: Proxy, batch, fault: Fault
) -> None:
    proxied.commit(batch.of(1))
    proxy.fault = fault
    position = proxied.commit(batch.of(2, meta={"cursor": b"2"}))
    assert proxy.fault == "none"
    assert proxied.last_commit() == (2, batch.of(2).hash, position)
    proxied.commit(batch.of(3))
    assert [row.version for row in proxied.read_stream(batch.stream)] == [1, 2, 3]


@pytest.mark.parametrize("fault", ["request_lost", "half_open"])
def test_a_commit_that_never_arrived_is_not_there_and_can_be_repeated(
    proxied: Store, proxy: Proxy, batch, fault: Fault
) -> None:
    proxied.commit(batch.of(1))
    proxy.fault = fault
    with pytest.raises(UnavailableError) as raised:
        proxied.commit(batch.of(2))
    assert not isinstance(raised.value, CommitUndecided)
    assert len(list(proxied.iter_log())) == 1
    proxied.commit(batch.of(2))
    assert [commit.seq for commit in proxied.commits()] == [1, 2]


def test_a_small_write_whose_confirmation_got_lost_may_be_repeated(
    proxied: Store, proxy: Proxy
) -> None:
    proxy.fault = "reply_lost"
    with pytest.raises(UnavailableError):
        proxied.meta_put("cursor", b"1")
    proxied.meta_put("cursor", b"1")
    assert proxied.meta_get("cursor") == b"1"


class Terminator:
    """Ends the writer's server process at the chosen moment."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.moment = ""
        self.store: Store | None = None

    def before_commit(self, batch: CommitBatch) -> None:
        self._strike("before")

    def after_commit(self, batch: CommitBatch) -> None:
        if self.moment == "after":
            self._strike("after")
            raise ConnectionResetError("the confirmation got lost")

    def _strike(self, moment: str) -> None:
        if self.moment != moment:
            return
        self.moment = ""
        assert isinstance(self.store, postgres_store.PostgresStore)
        pid = self.store._writer().info.backend_pid
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def test_a_terminated_backend_leaves_either_all_or_nothing(postgres_url: str, batch) -> None:
    faults = Terminator(postgres_url)
    store = open_store(None, postgres_url, faults=faults)
    faults.store = store
    store.commit(batch.of(1))

    faults.moment = "before"
    with pytest.raises(UnavailableError):
        store.commit(batch.of(2))
    assert len(store.commits()) == 1
    faults.moment = "after"
    store.commit(batch.of(2))
    assert [row.version for row in store.read_stream(batch.stream)] == [1, 2]
    store.close()


def test_when_the_database_never_answers_the_commit_stays_undecided(
    postgres_cluster: Cluster, postgres_url: str, batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_store, "RESOLVE_TIMEOUT_S", 0.5)

    class Outage:
        def before_commit(self, batch: CommitBatch) -> None:
            postgres_cluster.stop()

        def after_commit(self, batch: CommitBatch) -> None:
            pass

    store = open_store(None, postgres_url, faults=Outage())
    try:
        with pytest.raises(CommitUndecided):
            store.commit(batch.of(1))
    finally:
        postgres_cluster.start()
    assert not store.healthy()
    with pytest.raises(CommitUndecided):
        store.commit(batch.of(1))
    store.close()
    again = open_store(None, postgres_url)
    assert again.last_commit() is None
    again.commit(batch.of(1))
    again.close()


def test_readers_and_writer_outlive_a_restart_of_the_server(
    postgres_cluster: Cluster, postgres_url: str, batch
) -> None:
    store = open_store(None, postgres_url)
    store.commit(batch.of(1))
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda _: store.last_commit(), range(60)))
    postgres_cluster.stop()
    postgres_cluster.start()
    assert len(store.read_stream(batch.stream)) == 1
    with pytest.raises(UnavailableError):
        store.commit(batch.of(2))
    store.commit(batch.of(2))
    assert len(store.read_stream(batch.stream)) == 2
    store.close()


def test_a_new_owner_fences_the_old_one(postgres_url: str, batch) -> None:
    old = open_store(None, postgres_url)
    old.commit(batch.of(1))
    new = open_store(None, postgres_url)
    for write in (lambda: old.commit(batch.of(2)), lambda: old.meta_put("a", b"old")):
        with pytest.raises(ConflictError, match="taken over"):
            write()
    assert not old.healthy()
    assert len(old.read_stream(batch.stream)) == 1
    new.commit(batch.of(2))
    assert new.meta_get("a") is None
    assert new.healthy()
    old.close()
    new.close()


def test_many_processes_may_open_a_new_database_at_once(postgres_url: str, batch) -> None:
    with ThreadPoolExecutor(6) as threads:
        stores = list(threads.map(lambda _: open_store(None, postgres_url), range(6)))
    alive = []
    for store in stores:
        try:
            store.commit(batch.of(1))
            alive.append(store)
        except ConflictError:
            pass
    assert len(alive) == 1
    for store in stores:
        store.close()


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnavailableError):
        open_store(None, f"postgresql://nobody@127.0.0.1:{port}/none")


def test_a_database_that_is_not_utf8_is_refused(postgres_cluster: Cluster) -> None:
    with psycopg.connect(postgres_cluster.url("postgres"), autocommit=True) as conn:
        conn.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(ValueError, match="LATIN1"):
        open_store(None, postgres_cluster.url("latin"))


def test_durability_is_said_explicitly(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        name = conn.info.dbname
        conn.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    store = open_store(None, postgres_url)
    assert isinstance(store, postgres_store.PostgresStore)
    assert store._writer().execute("SHOW synchronous_commit").fetchone() == ("on",)
    store.close()


COMMIT_FOREVER = """
import sys
from uuid import UUID
from lago_engine.store import CommitBatch, StoredEvent, open_store
store = open_store(None, sys.argv[1])
seq = 1
while True:
    event = StoredEvent(UUID(int=7), seq, "a.v1", b"x")
    store.commit(CommitBatch(
        seq=seq, hash=b"%032d" % seq, recorded_at_us=seq, events=[event], meta={"m": b"%d" % seq}
    ))
    print(seq, flush=True)
    seq += 1
"""


def test_kill_9_loses_nothing_acknowledged(postgres_url: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(lago_engine.__file__).parents[1])}
    command = [sys.executable, "-c", COMMIT_FOREVER, postgres_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for _ in range(40):
            acknowledged = int(process.stdout.readline())
        process.kill()
        acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    store = open_store(None, postgres_url)
    last = store.last_commit()
    assert last is not None
    assert acknowledged <= last[0] <= acknowledged + 1
    assert [len(rows) for _, rows in store.iter_commits()] == [1] * last[0]
    assert store.meta_get("m") == b"%d" % last[0]
    store.close()
