"""Deleting what no snapshot needs: manifests before the packs that they name.

Apart from deciding what is garbage, which is SQL's: the store's listing is only used to find what lies
beneath a prefix, and what lies there and is live is left alone. Repeating it is harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from domain.contracts import Garbage, ObjectStore
from domain.failpoint import failpoint


def collect(store: ObjectStore, garbage: Sequence[Garbage], live: Callable[[str], set[str]]) -> list[str]:
    """See the port `Archive`: the keys and prefixes of `garbage` whose objects are gone."""
    manifests = [item.key for item in garbage if not item.is_prefix and item.key.endswith("/manifest")]
    packs = [item.key for item in garbage if not item.is_prefix and not item.key.endswith("/manifest")]
    prefixes = [item.key for item in garbage if item.is_prefix]
    failpoint("sweep.before-manifests")
    store.delete(manifests)
    failpoint("sweep.before-packs")
    store.delete(packs)
    for prefix in prefixes:
        # The listing first: a pack that becomes live after it was listed is then seen as live.
        found = [info.key for info in store.list(prefix)]
        kept = live(prefix)
        store.delete(key for key in found if key not in kept)
    failpoint("sweep.after-packs")
    return manifests + packs + prefixes
