"""Uploads in parts that take long, and those that nobody feeds any more.

Apart from `test_object_store.py` because only an S3 has them. moto says of every upload that it began in 2010, which is
what is asked for here: an upload that takes long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from storage.objects.s3 import S3Store
from storage.probe import examine
from storage.s3_address import parse
from tests.dying import dying
from tests.servers.buckets import credentials, fresh_bucket, store_url_of
from tests.servers.moto import MotoServer

PART = 5 << 20
HOUR = 3600


@pytest.fixture
def store(moto_s3: MotoServer, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in credentials(moto_s3).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("storage.multipart.PART_BYTES", PART)
    return S3Store(parse(store_url_of(moto_s3, fresh_bucket(moto_s3))))


def parts(meanwhile: Callable[[], None]) -> Iterator[bytes]:
    """Three; `meanwhile` runs when two of them are in the store."""
    yield bytes(PART)
    yield bytes(PART)
    meanwhile()
    yield bytes(PART)


def test_an_upload_that_is_fed_is_left_alone_however_long_ago_it_began(store: S3Store) -> None:
    """I17: it has a living owner. A big export over a slow line takes days."""
    swept: list[int] = []

    def sweep() -> None:
        (upload,) = store._client().list_multipart_uploads(Bucket=store._place.bucket)["Uploads"]
        assert datetime.now(UTC) - upload["Initiated"] > timedelta(seconds=HOUR), "it began a moment ago: nothing shown"
        swept.append(store.sweep(HOUR))

    store.put_stream("export", parts(sweep))

    assert swept == [0]
    assert store.size("export") == 3 * PART


def test_an_upload_that_nobody_feeds_any_more_is_given_up(store: S3Store) -> None:
    """I17, CN-13"""
    client, where = store._client(), {"Bucket": store._place.bucket, "Key": "p/export"}
    begun = client.create_multipart_upload(**where)["UploadId"]
    client.upload_part(**where, UploadId=begun, PartNumber=1, Body=b"fed a moment ago")
    client.create_multipart_upload(**where)

    assert store.sweep(HOUR) == 1, "the one to which nothing ever came"
    (left,) = client.list_multipart_uploads(Bucket=store._place.bucket)["Uploads"]
    assert left["UploadId"] == begun
    assert store.sweep(0) == 1


def test_who_dies_while_giving_one_up_leaves_it_to_the_next(store: S3Store) -> None:
    """I17"""
    store._client().create_multipart_upload(Bucket=store._place.bucket, Key="p/export")
    with dying("object.before-abort"):
        store.sweep(HOUR)
    assert store.sweep(HOUR) == 1


def refuse_to_list_parts(store: S3Store) -> None:
    """As to credentials without ListMultipartUploadParts."""

    def refuse(**_: Any) -> None:
        said: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise ClientError(said, "ListParts")

    store._client().meta.events.register("before-call.s3.ListParts", refuse)


def test_where_the_store_does_not_say_when_an_upload_was_fed_old_ones_are_given_up(store: S3Store) -> None:
    """I17: the first one refused ended the sweep, every hour."""
    client, place = store._client(), store._place
    young, old = (
        client.create_multipart_upload(Bucket=place.bucket, Key=f"p/{name}")["UploadId"] for name in ("a", "b")
    )

    def told(parsed: dict[str, Any], **_: Any) -> None:
        for upload in parsed["Uploads"]:
            days = 6 if upload["UploadId"] == young else 8
            upload["Initiated"] = datetime.now(UTC) - timedelta(days=days)

    client.meta.events.register("after-call.s3.ListMultipartUploads", told)
    refuse_to_list_parts(store)

    assert store.sweep(HOUR) == 1
    (left,) = client.list_multipart_uploads(Bucket=place.bucket)["Uploads"]
    assert left["UploadId"] == young != old


def test_whoever_examines_a_store_hears_that_uploads_cannot_be_looked_at(store: S3Store) -> None:
    refuse_to_list_parts(store)

    found = examine(store)

    denied = next(one for one in found if one.name == "give-up-uploads")
    assert not denied.works and not denied.needed
    assert "403 AccessDenied" in denied.sentence and "ListMultipartUploadParts" in denied.next_step
    assert {one.name for one in found if one.needed} == {"read-back", "create-only"}, "they are judged all the same"
    assert "Uploads" not in store._client().list_multipart_uploads(Bucket=store._place.bucket), "the probe's own"
