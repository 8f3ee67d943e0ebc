"""New ids. Apart from the records because only this file knows the library that makes them.

UUIDv7 in canonical lower-case text: they sort by the time they were made, so that indexes grow at one
end and a listing by id is a listing by age. No promise rests on that order.
"""

from __future__ import annotations

import uuid_utils


def new_id() -> str:
    """A fresh UUIDv7 as text, 36 characters."""
    return str(uuid_utils.uuid7())
