"""One object whose bytes are made while it is uploaded: a multipart upload with bounded memory; and uploads left over.

Apart from `s3`, which can send a whole body again; here every part is sent until it has arrived, and when anything
fails the upload is given up, so that nothing of it stays and nothing of it is ever seen. What a killed process leaves
is given up once nothing has come to it for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from domain.errors import BackstayError, ObjectMissing, StoreUnavailable
from domain.failpoint import failpoint
from storage.s3_errors import is_missing, status_of

#: S3 takes at most 10 000 parts: with this an object may have 312 GiB.
PART_BYTES = 32 << 20
#: An upload of which may not be asked when it was fed is given up when it began before that: none takes so long.
UNSEEN = timedelta(days=7)

Call = Callable[[str, Callable[[Any], Any]], Any]


def put_stream(call: Call, bucket: str, name: str, pieces: Iterable[bytes], size: Callable[[], int | None]) -> None:
    """Store the pieces as one object. `call(doing, attempt)` runs `attempt(client)`, again while the weather is bad;
    `size()` asks for the object's bytes."""
    where = {"Bucket": bucket, "Key": name}
    parts = parts_of(pieces)
    first = next(parts)
    second = next(parts, None)
    if second is None:
        call(f"store {name}", lambda s3: s3.put_object(**where, Body=first))
        return
    upload = call(f"begin {name}", lambda s3: _said(s3.create_multipart_upload(**where), "UploadId"))
    try:
        done, total = [], 0
        for number, body in enumerate(_chain(first, second, parts), 1):
            try:
                tag = call(f"store part {number} of {name}", partial(_send, where, upload, number, body))
            except ObjectMissing:
                raise given_up(name) from None
            done.append({"PartNumber": number, "ETag": tag})
            total += len(body)
        try:
            call(f"finish {name}", partial(_finish, where, upload, done))
        except ObjectMissing:
            # There is no such upload any more: an attempt before this one has finished it, or somebody gave it up.
            if size() != total:
                raise given_up(name) from None
    except BaseException:  # also when interrupted; what a killed process leaves, the sweeper aborts
        _abort(call, where, upload)
        raise


def abort_stale(bucket: str, prefix: str, older_than_seconds: int, s3: Any) -> int:
    """Give up the uploads beneath the prefix to which nothing has come for so long; how many. One that is fed is not
    touched, however long ago it began."""
    aborted, limit = 0, timedelta(seconds=older_than_seconds)
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
        now = _date_of(page)
        for upload in page.get("Uploads", []):
            where = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
            try:
                if _is_stale(where, upload["Initiated"], now, limit, s3):
                    failpoint("object.before-abort")
                    s3.abort_multipart_upload(**where)
                    aborted += 1
            except s3.exceptions.ClientError as error:
                if not is_missing(error):  # finished, or given up by another node, since it was listed
                    raise
    return aborted


def parts_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in parts of `PART_BYTES`, but for the last; at least one part."""
    held = bytearray()
    made = 0
    for piece in pieces:
        held += piece
        while len(held) >= PART_BYTES:
            yield bytes(held[:PART_BYTES])
            made += 1
            del held[:PART_BYTES]
    if held or not made:
        yield bytes(held)


def _is_stale(where: dict[str, str], began: datetime, now: datetime, limit: timedelta, s3: Any) -> bool:
    """Whether nothing has come to the upload for so long; where that may not be asked, whether it is older than any."""
    if now - began < limit:
        return False
    try:
        return now - _last_fed(where, began, s3) >= limit
    except s3.exceptions.ClientError as error:
        if status_of(error) not in (401, 403):
            raise
        return now - began >= max(limit, UNSEEN)  # doctor names the right that is lacking


def _last_fed(where: dict[str, str], began: datetime, s3: Any) -> datetime:
    """When the newest part came, or the upload began."""
    newest = began
    for page in s3.get_paginator("list_parts").paginate(**where):
        _date_of(page)
        newest = max([newest, *(part["LastModified"] for part in page.get("Parts", []))])
    return newest


def _date_of(page: dict[str, Any]) -> datetime:
    """The store's time; raises StoreUnavailable for a listing that was cut."""
    date = page["ResponseMetadata"]["HTTPHeaders"].get("date")
    if "IsTruncated" not in page or date is None:
        raise StoreUnavailable("a listing of uploads came without its end")
    return parsedate_to_datetime(date)


def given_up(name: str) -> StoreUnavailable:
    """Never that something is missing: whoever reads while it is sent would take that for damage of what is read."""
    return StoreUnavailable(
        f"the upload of {name} was given up before it was finished",
        next_step="look whether a rule of the bucket gives up uploads after a shorter time than they take",
    )


def _send(where: dict[str, str], upload: str, number: int, body: bytes, s3: Any) -> Any:
    return _said(s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body), "ETag")


def _finish(where: dict[str, str], upload: str, done: list[dict[str, Any]], s3: Any) -> None:
    _said(s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": done}), "ETag")


def _said(answer: dict[str, Any], name: str) -> Any:
    """That field of a reply; a reply that was cut has lost it."""
    if name not in answer:
        raise StoreUnavailable(f"a reply of the store came without {name}")
    return answer[name]


def _chain(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


def _abort(call: Call, where: dict[str, str], upload: str) -> None:
    try:
        call("give up an upload", lambda s3: s3.abort_multipart_upload(**where, UploadId=upload))
    except BackstayError:
        return  # the sweeper finds it by its age
