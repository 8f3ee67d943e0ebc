"""The tables of what is asked for by itself: schedules, their nominal times, the scheduler's lease, drills, goals.

Apart from the other tables because they outlive what they speak of: a schedule the services that come and go, a drill
the snapshot that it restored. Nothing refers to them by foreign key, and they refer to nothing.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Table, Text

from storage.sql.columns import ForeignText, flag, number, partial
from storage.sql.tables import metadata

schedule = Table(
    "schedule",
    metadata,
    Column("tenant_id", ForeignText, primary_key=True),
    Column("name", ForeignText, primary_key=True),
    Column("schedule_id", ForeignText, nullable=False),
    Column("service_id", ForeignText, nullable=False),  # empty: every service of the tenant
    Column("kind", ForeignText, nullable=False),
    Column("data", Text, nullable=False),  # JSON; none of these commands holds a secret
    Column("cron", ForeignText, nullable=False),
    Column("zone", ForeignText, nullable=False),
    number("jitter_seconds"),
    Column("catch_up", ForeignText, nullable=False),
    flag("joins", "1"),  # coalesces; that is a word of SQL
    number("next_at"),
    # In the order in which commands were accepted, whichever is carried out first: a removed one leaves its row.
    number("seq"),
    number("pause_seq"),
    flag("removed"),
    flag("paused"),
    Column("pause_reason", ForeignText, nullable=False, server_default=""),
    Column("pause_by", ForeignText, nullable=False, server_default=""),
    number("pause_at"),
    number("pause_until"),
    Column("changed_by", ForeignText, nullable=False, server_default=""),
    Column("updated_at", BigInteger, nullable=False),
    CheckConstraint("catch_up IN ('none','one','all')", name="catch_up"),
    CheckConstraint("joins IN (0,1) AND removed IN (0,1) AND paused IN (0,1)", name="flags"),
    partial("schedule_due", "next_at", where="removed = 0"),
)

# One row for each nominal time and service, written once: what makes a time be asked for once.
firing = Table(
    "firing",
    metadata,
    Column("schedule_id", ForeignText, primary_key=True),
    Column("nominal_at", BigInteger, primary_key=True),
    Column("service_id", ForeignText, primary_key=True),
    Column("tenant_id", ForeignText, nullable=False),
    Column("name", ForeignText, nullable=False),
    number("run_at"),
    Column("state", ForeignText, nullable=False),
    Column("why", ForeignText, nullable=False, server_default=""),
    Column("operations", Text, nullable=False, server_default=""),  # JSON list of ids
    Column("updated_at", BigInteger, nullable=False),
    CheckConstraint("state IN ('planned','asked','coalesced','skipped')", name="state"),
    partial("firing_ripe", "run_at", where="state = 'planned'"),
    Index("firing_name", "tenant_id", "name", "nominal_at"),
    Index("firing_age", "updated_at"),
)

scheduler = Table(
    "scheduler",
    metadata,
    Column("name", ForeignText, primary_key=True),
    Column("owner", ForeignText, nullable=False),
    number("lease_until"),
    number("looked_at"),
)

drill = Table(
    "drill",
    metadata,
    Column("op_id", ForeignText, primary_key=True),
    Column("tenant_id", ForeignText, nullable=False),
    Column("service_id", ForeignText, nullable=False),
    Column("snapshot_id", ForeignText, nullable=False),
    Column("node", ForeignText, nullable=False),
    flag("passed"),
    number("recovery_ms"),
    number("bytes"),
    number("files"),
    number("goal_seconds"),
    Column("reason", ForeignText, nullable=False),
    Column("ended_at", BigInteger, nullable=False),
    CheckConstraint("passed IN (0,1)", name="passed"),
    Index("drill_service", "service_id", "ended_at", "op_id"),
    Index("drill_newest", "ended_at", "op_id"),
)

# A row for each service that has missed its goal and was told of; it goes when the goal is met again.
rpo_miss = Table(
    "rpo_miss",
    metadata,
    Column("service_id", ForeignText, primary_key=True),
    Column("episode", ForeignText, nullable=False),  # what its two events are told under
    Column("missed_at", BigInteger, nullable=False),
)
