"""Which databases are refused, before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.errors import Refused
from storage.sql.engine import NETWORK_FILE_SYSTEMS, _file_system, parse_url


@pytest.mark.parametrize("url", ["postgres://u@h/d", "postgresql://u@h/d", "postgresql+psycopg://u@h/d"])
def test_every_spelling_of_postgresql_means_the_one_driver(url: str) -> None:
    assert parse_url(url).drivername == "postgresql+psycopg"


@pytest.mark.parametrize("url", ["mysql://u@h/d", "nonsense", "sqlite://", "sqlite:///:memory:", ""])
def test_a_database_that_cannot_keep_the_promise_is_refused(url: str) -> None:
    with pytest.raises(Refused) as raised:
        parse_url(url)
    assert raised.value.code == "bad-database-url"


def test_a_password_is_not_in_the_refusal() -> None:
    with pytest.raises(Refused) as raised:
        parse_url("mysql://u:hunter2@h/d")
    assert "hunter2" not in str(raised.value)


def test_the_file_system_is_that_of_the_longest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        "2 1 0:5 / /srv/my\\040data rw shared:1 - nfs4 host:/x rw\n"
        "3 1 0:6 / /srv/my\\040data/local rw - xfs /dev/sdb rw\n"
    )
    assert _file_system("/srv/my data/db", str(mounts)) == "nfs4"
    assert "nfs4" in NETWORK_FILE_SYSTEMS
    assert _file_system("/srv/my data/local", str(mounts)) == "xfs"
    assert _file_system("/srv/my database", str(mounts)) == "ext4"


def test_a_system_that_does_not_tell_its_mounts_is_trusted(tmp_path: Path) -> None:
    assert _file_system("/srv", str(tmp_path / "none")) == ""
