"""What an S3 endpoint is asked that a folder is not, when it is found out what a store can do."""

from __future__ import annotations

import base64
from typing import Any

from storage.s3_errors import status_of


def refuses_wrong(bucket: str, name: str, s3: Any) -> bool:
    """Whether an object is refused whose checksum is not that of its bytes."""
    wrong = base64.b64encode(bytes(16)).decode()
    try:
        s3.put_object(Bucket=bucket, Key=name, Body=b"probe", ContentMD5=wrong)
    except s3.exceptions.ClientError as error:
        if status_of(error) != 400:
            raise
        return True
    return False


def forgets_upload(bucket: str, name: str, s3: Any) -> bool:
    """Whether an upload in parts is gone when it was given up. Raises when it may not be asked what has come to it."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=name)["UploadId"]
    try:
        s3.upload_part(Bucket=bucket, Key=name, UploadId=upload, PartNumber=1, Body=b"probe")
        s3.list_parts(Bucket=bucket, Key=name, UploadId=upload)  # for the sweep, where nobody would see a denial
    finally:
        s3.abort_multipart_upload(Bucket=bucket, Key=name, UploadId=upload)
    left = s3.list_multipart_uploads(Bucket=bucket, Prefix=name)
    return all(found["UploadId"] != upload for found in left.get("Uploads", []))
