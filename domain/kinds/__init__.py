"""The kinds of configuration items: one file each, with its rule for upgrades and its calls.

Adding a kind is adding a file that defines `kind`; its name is the file's name.
"""

from __future__ import annotations

import sys

from domain.kind import Kind
from domain.registry import members

#: By name, in the order in which a service's items are changed.
KINDS: dict[str, Kind] = {
    name.replace("-", "_"): kind
    for name, kind in sorted(members(sys.modules[__name__], "kind", Kind).items(), key=lambda found: found[1].rank)
}
