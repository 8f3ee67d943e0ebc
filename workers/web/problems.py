"""What went wrong, as RFC 9457 problem details: one shape for every error of the API.

Apart from the routes because they raise and this words. `code` is stable and for programs, `detail` is a sentence for
people, `next_step` says what to do about it. Nothing that a request held is repeated but the names of its fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

from domain.errors import BackstayError, Damaged, InvalidMessage, NotFound, Refused, ServiceBusy, Weather, WrongTenant
from workers.web.access import NotAllowed, NotAuthenticated

MEDIA_TYPE = "application/problem+json"
#: Seconds after which what was not possible now is worth another try.
RETRY_AFTER = 5

#: The first that fits decides.
_STATUSES: tuple[tuple[type[BackstayError], int], ...] = (
    (NotAuthenticated, 401),
    (NotAllowed, 403),
    (WrongTenant, 403),
    (NotFound, 404),
    (InvalidMessage, 422),
    (Refused, 409),
    (ServiceBusy, 409),
    (Weather, 503),
    (Damaged, 500),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as it is told."""

    status: int
    code: str
    detail: str
    next_step: str = ""
    field: str = ""

    @classmethod
    def of(cls, error: BackstayError) -> Problem:
        """An error of ours."""
        status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
        return cls(status, error.code, str(error), error.next_step, getattr(error, "field", ""))

    @classmethod
    def of_status(cls, status: int) -> Problem:
        """What the framework refuses by itself: no such path, no such method."""
        if status == HTTPStatus.BAD_REQUEST:
            return cls(status, "unreadable", "The body cannot be read: it is not UTF-8, or not what it says it is.")
        phrase = HTTPStatus(status).phrase
        return cls(status, phrase.lower().replace(" ", "-"), f"{phrase}.", "see /api/v1/openapi.json for what there is")

    @classmethod
    def of_faults(cls, faults: Sequence[Any]) -> Problem:
        """A request that does not fit its description; the first fault is told."""
        first = faults[0]
        name = ".".join(str(part) for part in first["loc"])
        return cls(422, "invalid", f"{name}: {first['msg']}", "correct what is named and send it again", name)

    def headers(self) -> dict[str, str]:
        """What belongs to the status."""
        found = {"cache-control": "no-store"}
        if self.status == HTTPStatus.UNAUTHORIZED:
            found["www-authenticate"] = 'Bearer realm="backstay"'
        if self.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            found["retry-after"] = str(RETRY_AFTER)
        return found

    def response(self, more: Mapping[str, str] | None = None) -> JSONResponse:
        """The answer; `more` are headers that the framework wants in it."""
        document = {
            "type": f"urn:backstay:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "next_step": self.next_step or None,
            "field": self.field or None,
        }
        headers = {**(more or {}), **self.headers()}
        return JSONResponse(document, status_code=self.status, headers=headers, media_type=MEDIA_TYPE)
