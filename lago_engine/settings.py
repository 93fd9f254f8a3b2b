"""Settings: flags over `LAGO_ENGINE_*` environment variables over a TOML file over defaults.

The only reader of the environment. Each value remembers where it came from, for `config show`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from lago_engine.errors import LagoError

PREFIX: Final = "LAGO_ENGINE_"


class ConfigError(LagoError):
    """A setting cannot be used; the message says which and where it came from."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set.

    data: directory of the store (SQLite), snapshots, index and files. database: PostgreSQL URL instead of SQLite.
    sandbox: test organizations and virtual clocks. admin_key: needed to create a test organization.
    organization_name, api_key: of the organization made on the first start; without a key one is made up.
    public_url: where clients reach the server, for links and webhook signatures.
    events_batch_max: most events of one batch body. body_bytes_max: longest request body.
    commands_waiting_max, staged_bytes_max: what may wait for a commit before clients get 429.
    customers_resident_max: customers kept in memory, at least two ticks' worth (1,000).
    fingerprints_in_memory_max: seen usage events kept in memory before they go to the index on disk.
    snapshot_every_s, snapshot_every_events: how often memory is saved so that a restart reads less of the log; 0
    seconds: only at the end.
    webhook_timeout_s, webhook_attempts_max: deliveries. provider_timeout_s: calls to payment providers.
    document_workers: threads that make PDFs once invoices are final; 0: only at the download, without a recorded hash.
    sync_delay_s: added to every commit, to measure as if the disk were slower.
    """

    data: Path = Path("lago-data")
    database: str | None = None
    host: str = "127.0.0.1"
    port: int = 3000
    sandbox: bool = False
    admin_key: str | None = None
    public_url: str | None = None
    organization_name: str = "My organization"
    api_key: str | None = None
    events_batch_max: int = 100
    body_bytes_max: int = 10 * 1024 * 1024
    commands_waiting_max: int = 20_000
    staged_bytes_max: int = 64 * 1024 * 1024
    customers_resident_max: int = 100_000
    fingerprints_in_memory_max: int = 3_200_000
    snapshot_every_s: int = 300
    snapshot_every_events: int = 2_000_000
    webhook_timeout_s: int = 30
    webhook_attempts_max: int = 3
    provider_timeout_s: int = 20
    document_workers: int = 1
    sync_delay_s: float = 0.0
    log_level: str = "info"


SECRETS: Final = ("admin_key", "api_key")


class Loaded(msgspec.Struct, frozen=True):
    """Settings with the origin of each value: `flag`, `environment NAME`, `file PATH` or `default`."""

    settings: Settings
    origins: Mapping[str, str]

    def shown(self) -> dict[str, dict[str, Any]]:
        """Values and origins for people; secrets masked."""
        plain = msgspec.to_builtins(self.settings, enc_hook=str)
        return {
            name: {"value": _masked(name, plain[name]), "origin": self.origins[name]}
            for name in Settings.__struct_fields__
        }


def load_settings(flags: Mapping[str, Any], config_file: Path | None = None) -> Loaded:
    """Settings from flags (None: not given), environment and file. Raises ConfigError."""
    environment = dict(os.environ)
    path = config_file or _path(environment.get(f"{PREFIX}CONFIG"))
    from_file = _read_file(path)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name in Settings.__struct_fields__:
        variable = f"{PREFIX}{name.upper()}"
        if flags.get(name) is not None:
            values[name], origins[name] = flags[name], "flag"
        elif variable in environment:
            values[name], origins[name] = environment[variable], f"environment {variable}"
        elif name in from_file:
            values[name], origins[name] = from_file[name], f"file {path}"
        else:
            origins[name] = "default"
    return Loaded(_converted(values, origins), origins)


def _path(value: str | None) -> Path | None:
    return None if value is None else Path(value)


def _read_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"configuration file {path}: {error}") from error
    unknown = sorted(values.keys() - set(Settings.__struct_fields__))
    if unknown:
        raise ConfigError(f"configuration file {path}: unknown settings {', '.join(unknown)}")
    return values


def _converted(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    """Each value in its type; a refusal names the setting and its origin."""
    types = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    converted: dict[str, Any] = {}
    for name, value in values.items():
        plain = str(value) if isinstance(value, Path) else value
        try:
            converted[name] = msgspec.convert(plain, types[name], strict=False, dec_hook=_decode)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{name} (from {origins[name]}): {error}") from error
    return Settings(**converted)


def _decode(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(kind)


def _masked(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in SECRETS:
        return "••••••••"
    if name == "database":
        parts = urlsplit(value)
        return value.replace(f":{parts.password}@", ":••••••••@") if parts.password else value
    return value
