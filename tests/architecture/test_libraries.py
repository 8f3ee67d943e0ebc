"""Which third-party library lives where: one file, or one package where it is many files."""

from __future__ import annotations

import sys

from tests.architecture.source import PACKAGES, explain, modules

#: library -> (the file or package that may import it, why it is confined there)
HOMES: dict[str, tuple[str | tuple[str, ...], str]] = {
    "alembic": ("storage/sql/", "only the schema's history needs it, and importing it is slow"),
    "amqp": ("workers/", "the transport underneath kombu"),
    "blake3": ("storage/archive/digest.py", "the digest is part of the stored format"),
    "boto3": (("storage/objects/s3.py", "storage/s3_errors.py"), "one backend speaks S3"),
    "botocore": (("storage/objects/s3.py", "storage/s3_errors.py"), "one backend speaks S3"),
    "cronsim": ("workers/cron.py", "one meaning of a cron expression"),
    "cryptography": (("storage/sealing.py", "storage/data_key.py"), "all sealing is reviewed in one place"),
    "dramatiq": ("workers/", "the runtime that calls the executor; handlers must not know it"),
    "fastapi": ("workers/web/", "only the web process speaks HTTP"),
    "h11": ("workers/web/connections.py", "the states of a connection, for the bound on unfinished requests"),
    "jinja2": ("workers/web/pages/rendering.py", "what is escaped on pages is decided in one place"),
    "kombu": ("workers/", "the border to other systems; inside, SQL is the queue"),
    "numpy": ("storage/archive/", "columns of a manifest"),
    "opentelemetry": ("workers/", "tracing is the process's concern"),
    "pathspec": ("storage/archive/exclusion.py", "one meaning of an exclude pattern"),
    "prometheus_client": ("workers/", "metrics are the process's concern"),
    "psycopg": ("storage/sql/", "PostgreSQL is one of the databases"),
    "pydantic": (
        ("handlers/", "workers/web/api/"),
        "what comes in is checked at the doors; the domain has dataclasses",
    ),
    "pyfastcdc": ("storage/archive/chunker.py", "where chunks end decides what deduplicates"),
    "redis": ("workers/transports/redisstream.py", "one broker among three"),
    "rich": ("workers/", "only the command line has a screen"),
    "sqlalchemy": ("storage/sql/", "SQL stands behind the ports"),
    "starlette": ("workers/web/", "only the web process speaks HTTP"),
    "structlog": ("workers/", "what happened is told by the process that did it"),
    "tenacity": ("domain/retry.py", "one retry policy"),
    "types_boto3_s3": ("storage/objects/s3.py", "the types of the S3 client, seen by mypy only"),
    "typer": ("workers/cli/", "only the command line parses arguments"),
    "urllib3": (("storage/objects/s3.py", "workers/region_client.py"), "its errors are translated where it is spoken"),
    "uuid_utils": ("storage/sql/ids.py", "identifiers are made next to the rows that they name"),
    "uvicorn": ("workers/web/", "only the web process speaks HTTP"),
    "yaml": ("workers/cli/files.py", "people write files in it; nothing that arrives as a message is YAML"),
    "zstandard": ("storage/archive/compression.py", "compression is part of the stored format"),
}
FEW = "a library that can be replaced is imported in one place"


def _third_party() -> list[tuple[str, str, int]]:
    """(library, path, line) of every import that is neither ours nor the standard library's."""
    ours = {*PACKAGES, *sys.stdlib_module_names}
    return [
        (name.split(".")[0], module.path, line)
        for module in modules()
        for name, line in module.imports()
        if name.split(".")[0] not in ours
    ]


def test_every_library_is_imported_only_in_its_home() -> None:
    strays = [
        f"{path}:{line} imports {library}, whose home is {HOMES[library][0]}: {HOMES[library][1]}"
        for library, path, line in _third_party()
        if library in HOMES and not path.startswith(HOMES[library][0])
    ]
    assert not strays, explain(sorted(set(strays)), FEW)


def test_every_library_has_a_home() -> None:
    homeless = {f"{path} imports {library}" for library, path, _ in _third_party() if library not in HOMES}
    assert not homeless, explain(sorted(homeless), "a new library is a decision: give it a row and a reason")


def test_the_domain_imports_tenacity_and_nothing_else_from_outside() -> None:
    found = {library for library, path, _ in _third_party() if path.startswith("domain/")}
    assert found <= {"tenacity"}, explain(sorted(found), "the rules must outlive every library")
