"""The tables of tokens and sessions.

Apart from the other tables because no operation refers to them: who asked is written there by name.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text

from storage.sql.columns import ForeignText, partial
from storage.sql.tables import metadata

access_token = Table(
    "access_token",
    metadata,
    Column("token_id", ForeignText, primary_key=True),
    Column("name", ForeignText, nullable=False),
    Column("digest", ForeignText, nullable=False, unique=True),
    Column("roles", Text, nullable=False),  # JSON: tenant or "*" -> role
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", ForeignText, nullable=False),
    Column("expires_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("revoked_by", ForeignText),
    # A name in the audit trail means one person: it is free again when its token was revoked.
    partial("access_token_name", "name", where="revoked_at IS NULL", unique=True),
)

access_session = Table(
    "access_session",
    metadata,
    Column("digest", ForeignText, primary_key=True),
    Column("token_id", ForeignText, ForeignKey("access_token.token_id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("access_session_expiry", "expires_at"),
)
