"""What the HTTP API is told at start."""

from __future__ import annotations

import msgspec

CLIENT_MAX_SIZE = 10 * 1024 * 1024


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the API.

    files_secret: keys the names of downloadable files; whoever knows it can name any file.
    webhook_public_key: the key that verifies outgoing webhooks, Base64 of its PEM in MIME lines.
    sandbox: test organizations may be created and their clocks set.
    admin_key: needed to create a test organization; None leaves that open.
    public_url: where clients reach this server, for links; None takes it from each request.
    client_max_size: the longest accepted request body, in bytes.
    source_url: where the source of this version is published, for `/health`.
    """

    files_secret: bytes
    webhook_public_key: str
    sandbox: bool = False
    admin_key: str | None = None
    public_url: str | None = None
    client_max_size: int = CLIENT_MAX_SIZE
    version: str = ""
    source_url: str = ""
