"""A throw-away PostgreSQL cluster for tests, from the server binaries of the machine."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SERVER_USER = "postgres"
"""Who runs the server when we are root, which initdb refuses to be."""


def find_binaries() -> Path | None:
    """The newest folder with `initdb` and `pg_ctl`; None when no server is installed."""
    on_path = shutil.which("pg_ctl")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    return None


def missing() -> str | None:
    """Why no cluster can be started here; None when one can."""
    if find_binaries() is None:
        return "no PostgreSQL server binaries (initdb, pg_ctl) are installed"
    if os.geteuid() == 0 and _server_user() is None:
        return f"running as root and there is no user {SERVER_USER!r} to run the server"
    return None


class Cluster:
    """A running server on 127.0.0.1."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def url(self, database: str, port: int | None = None) -> str:
        return f"postgresql://{SERVER_USER}@127.0.0.1:{port or self.port}/{database}"

    def stop(self, mode: str = "immediate") -> None:
        _server_command("pg_ctl", ["-D", str(self.folder / "data"), "-m", mode, "-w", "stop"])

    def start(self) -> None:
        options = (
            f"-c port={self.port} -c listen_addresses=127.0.0.1"
            f" -c unix_socket_directories={self.folder} -c shared_buffers=64MB"
        )
        log = str(self.folder / "server.log")
        _server_command(
            "pg_ctl", ["-D", str(self.folder / "data"), "-o", options, "-l", log, "-w", "start"]
        )


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A new cluster, stopped and deleted at the end. Check `missing()` first."""
    folder = Path(tempfile.mkdtemp(prefix="lago-engine-postgres-"))
    try:
        user = _server_user()
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        _server_command(
            "initdb",
            ["-D", str(folder / "data"), "-U", SERVER_USER, "-A", "trust", "-E", "UTF8",
             "--locale=C.UTF-8", "--no-sync"],
        )  # fmt: skip
        server = Cluster(folder, _free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _server_user() -> pwd.struct_passwd | None:
    """The account the server runs under, if it is not ours."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        return None


def _server_command(name: str, arguments: Sequence[str]) -> None:
    binaries = find_binaries()
    assert binaries is not None
    user = _server_user()
    account = (
        {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    )
    # Not a pipe: the server would inherit it and keep the reader waiting.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [str(binaries / name), *arguments],
            stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd="/", timeout=60, check=False,
            **account,
        )  # fmt: skip
        if done.returncode:
            output.seek(0)
            raise RuntimeError(f"{name}: {output.read().decode(errors='replace')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
