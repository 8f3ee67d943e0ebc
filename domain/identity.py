"""Names that arrive in messages and end up in paths, keys and SQL: one rule each, with its reason.

A name that passes here is safe as one path component and as one part of an object key.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from domain.errors import InvalidMessage

# Lower case, digits and . _ - only: no separator of any path, key, label or shell; no leading dot, so
# never "." or ".." or a hidden file; 63 is the DNS label limit that platforms already live with.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")
# Ids that Backstay itself gives out (UUIDs) in their canonical text form.
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
# Rainbond and others use 32 hex digits as service ids: allowed by _NAME already.
_SUBJECT = re.compile(r"tenant/([^/]+)/service/([^/]+)\Z")
_OF_TENANT = re.compile(r"tenant/([a-z0-9][a-z0-9._-]{0,62})/")


def check_name(value: str, what: str) -> str:
    """Return `value` if it is a valid name; else raise InvalidMessage that names `what`."""
    if not _NAME.match(value):
        raise InvalidMessage(f"{what} must match [a-z0-9][a-z0-9._-]{{0,62}}, got {value[:80]!r}", field=what)
    return value


def is_id(value: str) -> bool:
    """Whether `value` is the text of a UUID."""
    return _ID.match(value) is not None


def check_id(value: str, what: str) -> str:
    """Return `value` if it is the text of a UUID; else raise InvalidMessage that names `what`."""
    if not is_id(value):
        raise InvalidMessage(f"{what} must be a UUID in lower-case text form, got {value[:80]!r}", field=what)
    return value


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a message is about: `tenant/<tenant_id>/service/<service_id>`."""

    tenant_id: str
    service_id: str

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Read the text form; raise InvalidMessage(field="subject") if it is anything else."""
        found = _SUBJECT.match(text)
        if not found:
            raise InvalidMessage(
                f"subject must be tenant/<tenant>/service/<service>, got {text[:120]!r}", field="subject"
            )
        try:
            return cls(check_name(found[1], "tenant"), check_name(found[2], "service"))
        except InvalidMessage as error:
            raise InvalidMessage(str(error), field="subject") from None

    def __str__(self) -> str:
        return f"tenant/{self.tenant_id}/service/{self.service_id}"


def tenant_named(subject: str | None) -> str | None:
    """The tenant that a subject names, whatever is wrong behind that: whose a message is that cannot be accepted."""
    found = _OF_TENANT.match(subject or "")
    return found[1] if found else None


def derived_id(op_id: str, name: str) -> str:
    """A UUID (version 8, RFC 9562) that is always the same for this operation and name."""
    digest = hashlib.sha256(f"{op_id}/{name}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
