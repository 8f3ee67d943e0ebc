"""One object whose bytes are made while it is uploaded: a multipart upload with bounded memory.

Apart from `s3`, which can send a whole body again; here every part is sent until it has arrived, and when anything
fails the upload is given up, so that nothing of it stays and nothing of it is ever seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from domain.errors import BackstayError, ObjectMissing, StoreUnavailable

#: S3 takes at most 10 000 parts: with this an object may have 312 GiB.
PART_BYTES = 32 << 20

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
            tag = call(f"store part {number} of {name}", partial(_send, where, upload, number, body))
            done.append({"PartNumber": number, "ETag": tag})
            total += len(body)
        try:
            call(f"finish {name}", partial(_finish, where, upload, done))
        except ObjectMissing:
            # There is no such upload any more: an attempt before this one has finished it, or somebody gave it up.
            if size() != total:
                raise StoreUnavailable(f"the upload of {name} was given up before it was finished") from None
    except BaseException:  # also when interrupted; what a killed process leaves, the sweeper aborts
        _abort(call, where, upload)
        raise


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
