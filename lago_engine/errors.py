"""The one exception tree of the engine; Rust raises the same classes.

LagoError
├── DomainError          the request is refused (4xx); never retried
│   ├── ValidationFailed     422, codes per field
│   ├── ExpressionFailed     422, what a metric's expression says of an event
│   ├── NotFound             404, `<resource>_not_found`
│   ├── NotAllowed           405, the state does not allow the action now
│   ├── Forbidden            403
│   └── BadRequest           400
├── ConflictError        another writer owns the stream; the caller reloads
├── UnavailableError     full mailbox (429) or store down (503); safe to retry
└── CorruptionError      a stored byte is not what was written; keep the events, page a person
    └── IndexDamaged         the index of seen events; the next start makes it again from the log
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class LagoError(Exception):
    """Base of everything this package raises on purpose."""


class DomainError(LagoError):
    """The request is refused; `status` is its HTTP status, `code` its stable name."""

    status = 422
    code = "unprocessable_entity"


class ValidationFailed(DomainError):
    """422 `validation_errors`: `details` maps each field to its codes, in check order."""

    status = 422
    code = "validation_errors"

    def __init__(self, details: Mapping[str, Sequence[str]]) -> None:
        super().__init__(
            ", ".join(f"{field}: {'/'.join(codes)}" for field, codes in details.items())
        )
        self.details = {field: list(codes) for field, codes in details.items()}

    @classmethod
    def of(cls, field: str, code: str) -> ValidationFailed:
        return cls({field: [code]})


class ExpressionFailed(DomainError):
    """422 `validation_errors` whose details are a text: the expression of a metric fails for an event (events.md §3)."""

    status = 422
    code = "validation_errors"

    def __init__(self, reason: str) -> None:
        self.details = f"expression_evaluation_failed: {reason}"
        super().__init__(self.details)


class NotFound(DomainError):
    """404 with code `<resource>_not_found`."""

    status = 404

    def __init__(self, resource: str) -> None:
        super().__init__(f"{resource} not found")
        self.code = f"{resource}_not_found"


class NotAllowed(DomainError):
    """405: the object exists, its state does not allow the action now."""

    status = 405

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Forbidden(DomainError):
    """403 with a stable code."""

    status = 403

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class BadRequest(DomainError):
    """400: the body cannot be read as a request at all."""

    status = 400
    code = "bad_request"


class ConflictError(LagoError):
    """An append met another version than expected; nothing was written."""


class UnavailableError(LagoError):
    """The engine cannot take the request now; `retry_after_s` says when to try again.

    `status` is 429 for a full queue and 503 for a store that does not answer.
    """

    def __init__(self, message: str, *, status: int = 503, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class CorruptionError(LagoError):
    """A stored byte, hash or version is not what was written; the message says where."""


class IndexDamaged(CorruptionError):
    """The index of usage events seen cannot be used. It is made again from the log at the next start."""
