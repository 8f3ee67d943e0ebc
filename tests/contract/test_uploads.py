"""Uploads in parts that take long, and those that nobody feeds any more.

Apart from `test_object_store.py` because only an S3 has them. moto says of every upload that it began in 2010, which is
what is asked for here: an upload that takes long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from storage.objects.s3 import S3Store
from storage.s3_address import parse
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
