"""What an S3 store's errors mean for whoever called: weather, absence, refusal or damage.

Apart from the store because it is one table; the classes of the client's errors are made while it runs, so they are
looked up late.
"""

from __future__ import annotations

from typing import Any

from domain.errors import BackstayError, Damaged, ObjectMissing, Refused, StoreUnavailable

_WEATHER = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_WEATHER_CODES = frozenset({"RequestTimeout", "SlowDown", "Throttling", "InternalError", "ServiceUnavailable"})
#: What the store itself says of what is not there. Any other 404 is that of a proxy, or of another server.
_MISSING_CODES = frozenset({"NoSuchKey", "NoSuchUpload"})
RIGHTS = (
    "give the worker's credentials GetObject, PutObject, DeleteObject, ListBucket, AbortMultipartUpload, "
    "ListBucketMultipartUploads and ListMultipartUploadParts"
)


def explain(error: Exception, doing: str, bucket: str) -> BackstayError:
    """The port's error for one of boto's."""
    from boto3.exceptions import S3UploadFailedError
    from botocore import exceptions as botocore

    if isinstance(error, S3UploadFailedError) and isinstance(error.__context__, botocore.ClientError):
        error = error.__context__
    if isinstance(error, botocore.ClientError):
        return _explain_answer(error, doing, bucket)
    wrong_setting = (
        botocore.NoCredentialsError,
        botocore.PartialCredentialsError,
        botocore.NoRegionError,
        botocore.ProfileNotFound,
        botocore.ParamValidationError,
        botocore.ConfigParseError,
        botocore.InvalidRegionError,
    )
    if isinstance(error, wrong_setting):
        return Refused(
            f"the store cannot be used to {doing}: {error}",
            code="store-misconfigured",
            next_step="look at BACKSTAY_STORE_URL and at the AWS settings of the worker's environment",
        )
    return StoreUnavailable(f"the store did not answer a request to {doing}: {type(error).__name__}")


def _explain_answer(error: Any, doing: str, bucket: str) -> BackstayError:
    status, code = status_of(error), str(error.response.get("Error", {}).get("Code", ""))
    sentence = f"the store answered {status} {code} to a request to {doing}"
    if code == "NoSuchBucket":
        return Refused(
            f"bucket {bucket} does not exist", code="bucket-missing", next_step="create it, or correct the store URL"
        )
    if status == 404 and is_missing(error):
        return ObjectMissing(f"the store has no object to {doing}")
    if status == 416:
        return Damaged(f"an object is shorter than a request to {doing} expected", code="object-short")
    if status == 404 or status in _WEATHER or code in _WEATHER_CODES or status >= 500:
        return StoreUnavailable(sentence)
    return Refused(sentence, code="store-denied" if status in (401, 403) else "store-refused", next_step=RIGHTS)


def is_missing(error: Any) -> bool:
    """Whether the store says that there is no such object or upload."""
    return str(error.response.get("Error", {}).get("Code", "")) in _MISSING_CODES


def status_of(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
