"""`s3://bucket/prefix?endpoint=…&region=…&addressing=…&checksums=…`: objects in any S3-compatible store.

Apart from `file`, because here the store makes objects appear whole, and what must be got right is the
doubt: a request without an answer may have been done. Creating is one conditional PUT that carries a
token, so a refusal after a lost answer is recognised as our own success. Credentials come from AWS's own
chain and never from the URL. The options are
those of `storage/s3_address.py`.
"""

from __future__ import annotations

import io
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from domain import pulse
from domain.contracts import Buffer, ObjectInfo, ObjectStore
from domain.errors import Damaged, ObjectMissing, Refused, StoreUnavailable
from domain.failpoint import failpoint
from domain.retry import within_call
from storage import s3_questions
from storage.backend import Backend
from storage.multipart import abort_stale, given_up, put_stream
from storage.object_keys import KeyRule, check_key, check_prefix
from storage.s3_address import S3Address, parse
from storage.s3_errors import RIGHTS, explain, status_of

T = TypeVar("T")
#: botocore makes the classes of its clients and errors while it runs.
Client = Any

#: Above this an object is uploaded in parts.
SINGLE_PUT = 32 << 20
#: Seconds of trying again inside one call. Each try keeps the lease of whoever waits, and ends after 20 s: work that
#: hangs in the store longer than its lease would look like work that kills its worker.
PATIENCE = 30.0
CONNECT_SECONDS, READ_SECONDS = 5, 15
_TOKEN = "backstay-token"


class S3Store:
    """Objects in one bucket, beneath one prefix. One client per process, made at the first call."""

    def __init__(self, place: S3Address, rule: KeyRule = check_key) -> None:
        self._place, self._rule = place, rule
        self._mutex = threading.Lock()
        self._made: tuple[int, Client] | None = None

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """See the port."""
        name = self._name(key)
        failpoint("object.before-put")
        body = b"".join(parts)
        if len(body) <= SINGLE_PUT:
            self._call(f"store {key}", lambda s3: s3.put_object(Bucket=self._place.bucket, Key=name, Body=body))
        else:
            try:
                self._call(f"store {key}", lambda s3: self._upload(s3, name, body))
            except ObjectMissing:
                raise given_up(name) from None
        failpoint("object.after-put")

    def put_stream(self, key: str, pieces: Iterable[bytes]) -> None:
        """See the port."""
        failpoint("object.before-put")
        put_stream(self._call, self._place.bucket, self._name(key), pieces, lambda: self.size(key))
        failpoint("object.after-put")

    def link(self, key: str, seconds: int, name: str) -> str | None:
        """See the port: a presigned GET."""
        shown = f'attachment; filename="{name}"'
        wanted = {"Bucket": self._place.bucket, "Key": self._name(key), "ResponseContentDisposition": shown}
        url: str = self._client().generate_presigned_url("get_object", Params=wanted, ExpiresIn=seconds)
        return url

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        """See the port."""
        name, token = self._name(key), secrets.token_hex(16)
        body = b"".join(parts)

        def attempt(s3: Client) -> bool:
            from botocore.exceptions import ClientError

            try:
                s3.put_object(Bucket=self._place.bucket, Key=name, Body=body, IfNoneMatch="*", Metadata={_TOKEN: token})
            except ClientError as error:
                if status_of(error) != 412:
                    raise
                return False
            return True

        failpoint("object.before-create")
        made = self._call(f"create {key}", attempt)
        if not made:
            # Somebody's object is there: ours, if an earlier attempt was done but not answered.
            found = self._call(f"look at {key}", partial(self._first_byte, name, key))
            made = found is not None and found.get("Metadata", {}).get(_TOKEN) == token
        failpoint("object.after-create")
        return made

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See the port."""
        name = self._name(key)
        if length == 0:
            return b""

        def attempt(s3: Client) -> bytes:
            if offset == 0 and length is None:
                answer = s3.get_object(Bucket=self._place.bucket, Key=name)
            else:
                end = "" if length is None else str(offset + length - 1)
                answer = s3.get_object(Bucket=self._place.bucket, Key=name, Range=f"bytes={offset}-{end}")
            return _whole_body(answer, key)

        data = self._call(f"read {key}", attempt)
        if length is not None and len(data) != length:
            raise Damaged(f"object {key} ends {length - len(data)} bytes too early", code="object-short")
        return data

    def size(self, key: str) -> int | None:
        """See the port."""
        try:
            found = self._call(f"look at {key}", partial(self._first_byte, self._name(key), key))
        except ObjectMissing:
            return None
        return 0 if found is None else int(found["ContentRange"].rpartition("/")[2])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See the port."""
        name = self._place.prefix + check_prefix(prefix)
        token: str | None = None
        while True:
            more = {"ContinuationToken": token} if token else {}
            page = self._call(
                f"list {prefix}",
                partial(self._page, name, more),
            )
            for item in page.get("Contents", []):
                yield ObjectInfo(item["Key"][len(self._place.prefix) :], item["Size"])
            if not page["IsTruncated"]:
                return
            token = page["NextContinuationToken"]

    def delete(self, keys: Iterable[str]) -> None:
        """See the port. A thousand keys per request; the store's answer is checked key by key."""
        names = iter([self._name(key) for key in keys])
        while batch := list(islice(names, 1000)):
            failpoint("object.before-delete")
            self._call("delete objects", partial(self._delete, batch))
            failpoint("object.after-delete")

    def sweep(self, older_than_seconds: int) -> int:
        """Abort multipart uploads to which nothing has come for so long, by the store's own clock."""
        place = self._place
        return self._call("sweep uploads", partial(abort_stale, place.bucket, place.prefix, older_than_seconds))

    def verifies_checksums(self, key: str) -> bool:
        """Whether an object that does not arrive as it was sent is refused."""
        return self._call(f"offer {key}", partial(s3_questions.refuses_wrong, self._place.bucket, self._name(key)))

    def gives_up_uploads(self, key: str) -> bool:
        """Whether an upload in parts that is given up leaves nothing behind."""
        return self._call(f"begin {key}", partial(s3_questions.forgets_upload, self._place.bucket, self._name(key)))

    def _name(self, key: str) -> str:
        return self._place.prefix + self._rule(key)

    def _first_byte(self, name: str, key: str, s3: Client) -> dict[str, Any] | None:
        """The reply to a request for the first byte; None when the object has none.

        Not HEAD: when the head of a reply is cut, what has arrived looks like a whole head, with a header
        missing or a number too short. A byte of the body shows that all headers are there.
        """
        from botocore.exceptions import ClientError

        try:
            answer: dict[str, Any] = s3.get_object(Bucket=self._place.bucket, Key=name, Range="bytes=0-0")
        except ClientError as error:
            if status_of(error) == 416:
                return None
            raise
        if _whole_body(answer, key) == b"":  # a store that answers a range of an empty object with all of it
            return None
        return answer

    def _page(self, name: str, more: dict[str, str], s3: Client) -> dict[str, Any]:
        page: dict[str, Any] = s3.list_objects_v2(Bucket=self._place.bucket, Prefix=name, **more)
        if "IsTruncated" not in page:  # a reply that was cut in its head reads like a page without objects
            raise StoreUnavailable("a listing came without its end")
        if page["IsTruncated"] and not page.get("NextContinuationToken"):
            raise StoreUnavailable("a listing came without the way to its next page")
        return page

    def _upload(self, s3: Client, name: str, body: bytes) -> None:
        from boto3.s3.transfer import TransferConfig

        # s3transfer aborts the upload when a part fails; what a killed process leaves, `sweep` aborts.
        config = TransferConfig(multipart_threshold=SINGLE_PUT, multipart_chunksize=SINGLE_PUT // 2, max_concurrency=2)
        s3.upload_fileobj(io.BytesIO(body), self._place.bucket, name, Config=config)

    def _delete(self, names: Sequence[str], s3: Client) -> None:
        wanted = [{"Key": name} for name in names]
        # Not quiet: a quiet reply that was cut in its head reads like one without errors.
        answer = s3.delete_objects(Bucket=self._place.bucket, Delete={"Objects": wanted, "Quiet": False})
        if len(answer.get("Deleted", [])) + len(answer.get("Errors", [])) != len(wanted):
            raise StoreUnavailable(f"the store did not say what became of {len(wanted)} objects to delete")
        errors = [item for item in answer.get("Errors", []) if item.get("Code") not in ("NoSuchKey", "NotFound")]
        if errors:
            first = errors[0]
            sentence = f"{len(errors)} objects were not deleted, the first is {first.get('Key')}: {first.get('Code')}"
            if first.get("Code") in ("AccessDenied", "MethodNotAllowed"):
                raise Refused(sentence, code="store-denied", next_step=RIGHTS)
            raise StoreUnavailable(sentence)

    def _client(self) -> Client:
        """The client of this process; a child after a fork makes its own."""
        with self._mutex:
            if self._made is None or self._made[0] != os.getpid():
                self._made = (os.getpid(), _connect(self._place))
            return self._made[1]

    def _call(self, doing: str, attempt: Callable[[Client], T]) -> T:
        """Run `attempt`, again while the weather is bad, and answer in the port's errors."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        for trial in within_call(seconds=PATIENCE):
            pulse.beat()  # a store that is away must not look like a worker that has died
            with trial:
                try:
                    return attempt(self._client())
                except (BotoCoreError, ClientError, Boto3Error, OSError) as error:
                    raise explain(error, doing, self._place.bucket) from error
        raise AssertionError("within_call either returns or raises")


def _connect(place: S3Address) -> Client:
    import boto3
    from botocore.config import Config

    options: dict[str, Any] = {
        "s3": {"addressing_style": place.addressing},
        "request_checksum_calculation": place.checksums,
        "response_checksum_validation": place.checksums,
    }
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=16,
        retries={"mode": "standard", "total_max_attempts": 1},  # one layer of retries, the one above
        **options,
    )
    session = boto3.session.Session()
    return session.client("s3", endpoint_url=place.endpoint, region_name=place.region, config=config)


def _whole_body(answer: dict[str, Any], key: str) -> bytes:
    """The body, if as many bytes have come as were announced. Raises StoreUnavailable."""
    data: bytes = answer["Body"].read()
    if len(data) != answer.get("ContentLength"):
        raise StoreUnavailable(f"object {key} came with {len(data)} of {answer.get('ContentLength')} bytes")
    return data


def _open(url: str, rule: KeyRule) -> ObjectStore:
    return S3Store(parse(url), rule)


backend = Backend(open=_open)
