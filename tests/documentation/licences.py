"""Under which licence each library of the locks is, and which licences we take: docs/reference/licences.md.

Apart from the other pages because it is read from what is installed, which the locks name by hash. Our own code is
Apache-2.0: what is taken must allow to be used by it, unchanged, beside it. Libraries under a licence that asks more
are taken one by one, each with the reason why it is all right.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: The lock of what runs in production comes first.
LOCKS = {"requirements.lock": "production", "requirements-dev.lock": "development"}
#: Asks for no more than to be named; ours may be anything beside it.
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC", "MIT", "MIT-0",
    "PSF-2.0", "Zlib",
}  # fmt: skip
#: Asks that changes of the library itself stay open: taken only for these, and for this reason.
ONE_BY_ONE = {
    "certifi": ("MPL-2.0", "a list of certificates, unchanged"),
    "dramatiq": ("LGPL-3.0-or-later", "imported, unchanged, and anybody can put another version in its place"),
    "hypothesis": ("MPL-2.0", "for tests only, unchanged"),
    "pathspec": ("MPL-2.0", "imported, unchanged"),
    "psycopg": ("LGPL-3.0-only", "imported, unchanged, and anybody can put another version in its place"),
    "psycopg-binary": ("LGPL-3.0-only", "as psycopg, whose compiled half it is"),
}
#: Not installed where we look: for another system, or for types only.
ELSEWHERE = {
    "async-timeout": "Apache-2.0", "colorama": "BSD-3-Clause", "pywin32": "PSF-2.0", "types-boto3-s3": "MIT",
    "tzdata": "Apache-2.0",
}  # fmt: skip
#: What older metadata call a licence.
_OLD = {
    "3-Clause BSD License": "BSD-3-Clause", "Apache 2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0", "BSD License": "BSD", "Dual License": "Apache-2.0 OR BSD",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later", "ISC License": "ISC",
    "ISC License (ISCL)": "ISC", "MIT License": "MIT", "MIT license": "MIT", "MIT style": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "New BSD": "BSD-3-Clause",
}  # fmt: skip
_PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==", re.MULTILINE)


def locked() -> dict[str, str]:
    """What each locked library is there for, by name."""
    found: dict[str, str] = {}
    for lock, use in LOCKS.items():
        for name in _PINNED.findall((ROOT / lock).read_text()):
            found.setdefault(name, use)
    return dict(sorted(found.items()))


def licence_of(name: str) -> str:
    """As an SPDX expression, from the metadata of what is installed; empty when nothing says it."""
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    try:
        metadata = distribution(name).metadata
    except PackageNotFoundError:
        return ""
    said = [metadata[field] for field in ("License-Expression", "License") if field in metadata]
    said += [text.split(" :: ")[-1] for text in metadata.get_all("Classifier") or [] if text.startswith("License ::")]
    short = next((text for text in said if text and len(text) < 80 and "\n" not in text), "")
    return _OLD.get(short, short)


def fault(name: str, licence: str) -> str:
    """Why the library must not be taken; empty when it may."""
    if not licence:
        return f"{name}: nothing says under which licence it is; find out, and add it to ELSEWHERE"
    if any(set(choice.split(" AND ")) <= ALLOWED for choice in licence.split(" OR ")):
        return ""
    if ONE_BY_ONE.get(name, ("",))[0] == licence:
        return ""
    return f"{name}: {licence} is not among the licences that we take; choose another library, or decide and say why"


def licences_page() -> str:
    """docs/reference/licences.md."""
    rows = [
        f"| {name} | {licence_of(name)} | {use} | {ONE_BY_ONE.get(name, ('', ''))[1]} |"
        for name, use in locked().items()
    ]
    return "\n".join(
        [
            "# Licences",
            "",
            "Every library of the locks, from the metadata of what is installed. Backstay itself is Apache-2.0. "
            "A library under any other licence than these fails a test: " + ", ".join(sorted(ALLOWED)) + ".",
            "",
            "| library | licence | for | why, where it asks for more |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )
