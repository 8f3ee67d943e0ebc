"""What answers of an S3 endpoint mean that no server in the tests gives: a proxy's 404, a page that leads nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from domain.errors import ObjectMissing, StoreUnavailable
from storage.objects import s3
from storage.objects.s3 import S3Store
from storage.s3_address import parse


class Endpoint:
    """Stands for boto's client: says the same to every request."""

    def __init__(self, answer: Callable[[], dict[str, Any]]) -> None:
        self._answer = answer

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        return lambda **_: self._answer()


@pytest.fixture
def store_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], dict[str, Any]]], S3Store]:
    """A store whose endpoint answers so."""
    monkeypatch.setattr(s3, "PATIENCE", 0.0)

    def made(answer: Callable[[], dict[str, Any]]) -> S3Store:
        monkeypatch.setattr(s3, "_connect", lambda _: Endpoint(answer))
        return S3Store(parse("s3://bucket"))

    return made


def refusing(code: str) -> Callable[[], dict[str, Any]]:
    """404 with that code."""

    def answer() -> dict[str, Any]:
        said: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 404}}
        raise ClientError(said, "GetObject")

    return answer


ASKED: dict[str, Callable[[S3Store], object]] = {
    "get": lambda store: store.get("a"),
    "size": lambda store: store.size("a"),
    "list": lambda store: list(store.list("")),
    "delete": lambda store: store.delete(["a"]),
}


@pytest.mark.parametrize("code", ["404", "Not Found", "NoSuchWebsiteConfiguration"])
@pytest.mark.parametrize("asked", ASKED)
def test_a_404_that_names_no_missing_object_is_weather(store_at: Callable[..., S3Store], asked: str, code: str) -> None:
    """FZ-30: an ingress without its backend answers so. Sound snapshots were called corrupt on its word."""
    with pytest.raises(StoreUnavailable, match=f"404 {code}"):
        ASKED[asked](store_at(refusing(code)))


def test_a_404_that_names_the_missing_object_is_believed(store_at: Callable[..., S3Store]) -> None:
    store = store_at(refusing("NoSuchKey"))

    with pytest.raises(ObjectMissing):
        store.get("a")
    assert store.size("a") is None


@pytest.mark.parametrize("more", [{}, {"NextContinuationToken": ""}])
def test_a_page_that_is_not_the_last_and_does_not_lead_on_is_weather(
    store_at: Callable[..., S3Store], more: dict[str, str]
) -> None:
    """FZ-30: what comes after it would count as gone."""
    page = {"IsTruncated": True, "Contents": [{"Key": "a", "Size": 1}], **more}

    with pytest.raises(StoreUnavailable, match="without the way to its next page"):
        list(store_at(lambda: page).list(""))
