"""What a file in `storage/objects/` declares.

Apart from `store.py`, which finds those files, so that neither imports the other in a circle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from domain.contracts import ObjectStore
from storage.object_keys import KeyRule


@dataclass(frozen=True, slots=True)
class Backend:
    """One kind of object store. Its URL scheme is the name of the file that defines it.

    `open(url, rule)` parses the whole URL and raises Refused if it is wrong; it touches neither network nor
    disk, so that a command which never needs the store does not fail because of it.
    """

    open: Callable[[str, KeyRule], ObjectStore]
