"""Kinds of columns and indexes that mean the same on SQLite and PostgreSQL.

Apart from the tables so that those read as a list of names. What the two databases do differently with
text, numbers and partial indexes is settled here, once.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Text,
    TypeDecorator,
    text,
)


def storable(value: str) -> str:
    """The text as the database will give it back."""
    if value.isascii() and "\0" not in value:
        return value
    return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


class ForeignText(TypeDecorator[str]):
    """Text that may come from outside. NUL and lone surrogates, which PostgreSQL refuses, become `\\x00`
    and `\\udXXX` in the same way on both databases, so that equal input stays equal."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Escape what cannot be stored; everything else passes untouched."""
        return None if value is None else storable(value)


def serial() -> Column[int]:
    """A growing number; on SQLite AUTOINCREMENT, so that a number is never given twice."""
    return Column("seq", BigInteger().with_variant(Integer, "sqlite"), Identity(always=True), primary_key=True)


def key(name: str, **more: Any) -> Column[str]:
    """Text compared byte by byte on both databases, so that a prefix is an index range."""
    return Column(name, Text().with_variant(Text(collation="C"), "postgresql"), **more)


def number(name: str) -> Column[int]:
    """A count or a time that begins at 0."""
    return Column(name, BigInteger, nullable=False, server_default="0")


def flag(name: str, default: str = "0") -> Column[int]:
    """0 or 1, as both databases have it."""
    return Column(name, SmallInteger, nullable=False, server_default=default)


def partial(name: str, *columns: Any, where: str, unique: bool = False) -> Index:
    """An index on the rows that meet `where`, whose states are literals."""
    return Index(name, *columns, unique=unique, postgresql_where=text(where), sqlite_where=text(where))
