"""Conditions on an operation's state as SQL literals.

Apart from the statements that use them because the text must match the partial indexes in `tables`: with
a bound parameter neither database can prove that the index applies, and a claim becomes a scan.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, FromClause, func, literal_column

from domain.operation import State


def literal_state(state: State) -> ColumnElement[str]:
    """The state as a literal."""
    return literal_column(f"'{state.value}'")


def state_is(table: FromClause, *states: State) -> ColumnElement[bool]:
    """`state = 'A'` or `state IN ('A', 'B')`, in the order given."""
    if len(states) == 1:
        return table.c.state == literal_state(states[0])
    return table.c.state.in_([literal_state(state) for state in states])


def claimable(table: FromClause) -> ColumnElement[bool]:
    """As in the index op_ready."""
    return state_is(table, State.QUEUED, State.RUNNING, State.COMPENSATING)


def held(table: FromClause) -> ColumnElement[bool]:
    """Started and not ended: what a claim's holder may write."""
    return state_is(table, State.RUNNING, State.COMPENSATING)


def reserving(table: FromClause) -> ColumnElement[bool]:
    """As in the index op_one_active."""
    return state_is(table, State.RUNNING, State.COMPENSATING, State.STUCK) & is_exclusive(table)


def unfinished(table: FromClause) -> ColumnElement[bool]:
    """As in the index op_open."""
    return state_is(table, State.QUEUED, State.RUNNING, State.COMPENSATING, State.STUCK) & is_exclusive(table)


def is_exclusive(table: FromClause) -> ColumnElement[bool]:
    """It reserves its service while active."""
    return table.c.exclusive == literal_column("1")


def beside(column: ColumnElement[str]) -> ColumnElement[str]:
    """The column in a form that no index serves: for what is to be looked at in the rows that another index has found.
    Without it SQLite, which knows no distribution, walks through everything that is queued, or that a tenant has."""
    return func.coalesce(column, "")
