"""A bucket for one test, on any S3.

Apart from the servers because moto and Ceph are asked in the same words. Buckets are not deleted: the servers
forget them at the end of the run.
"""

from __future__ import annotations

import secrets
from typing import Protocol
from urllib.parse import urlencode

import boto3
from botocore.config import Config

REGION = "us-east-1"


class S3Server(Protocol):
    """Where an S3 answers, and who may ask."""

    @property
    def endpoint(self) -> str: ...
    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...


def fresh_bucket(server: S3Server) -> str:
    """Create an empty bucket with a name of its own."""
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=REGION,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    name = f"test-{secrets.token_hex(6)}"
    try:
        client.create_bucket(Bucket=name)
    finally:
        client.close()
    return name


def store_url_of(server: S3Server, bucket: str) -> str:
    """The product's URL of that bucket, below the prefix `p`; the keys come from the environment."""
    options = {"endpoint": server.endpoint, "region": REGION, "addressing": "path", "checksums": "when_required"}
    return f"s3://{bucket}/p?{urlencode(options, safe=':/')}"


def credentials(server: S3Server) -> dict[str, str]:
    """The environment in which an S3 client may use `server`, and nothing else of the tester's."""
    return {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
