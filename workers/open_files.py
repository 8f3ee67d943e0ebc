"""How many files a node may hold open at once: as many as the system lets it.

Apart from the runtime because it is about the process and not about the node. A restore keeps some hundred directories
and files open for each of its threads; the usual soft limit of 1024 was set for programs that use select(2), which
nothing here does, and two big restores at once would not fit into it.
"""

from __future__ import annotations

import resource

#: What one operation may hold open, with its threads and connections.
PER_OPERATION = 1200
#: Enough for a node that does everything at once; where the system sets no bound, this is asked for.
_MANY = 65536


def allow_many() -> int:
    """Raise the soft limit as far as the hard one lets us; the limit then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)
