"""`backstay replicas`: how far each further store of snapshots is.

Apart from doctor because this tells figures and that one a verdict.
"""

from __future__ import annotations

from workers.cli.session import AsJson, session


def replicas(as_json: AsJson = False) -> None:
    """Show each replica: snapshots that it has, that it is owed, how long, and why."""
    with session(as_json) as here:
        copies = here.database().copies
        found = [copies.state_of(name) for name in here.settings.replicas or {}]
        documents = [
            {
                "replica": one.replica,
                "state": "lagging" if one.pending else "current",
                "copied": one.copied,
                "pending": one.pending,
                "damaged": one.damaged,
                "oldest_pending_seconds": one.oldest_pending_ms // 1000,
                "trouble": one.trouble,
            }
            for one in found
        ]
        here.screen.document({"policy": here.settings.replica_policy, "replicas": documents})
        rows = [
            (
                str(d["replica"]),
                str(d["state"]),
                str(d["copied"]),
                str(d["pending"]),
                f"{d['oldest_pending_seconds']} s",
                str(d["trouble"]),
            )
            for d in documents
        ]
        header = ("REPLICA", "STATE", "COPIED", "PENDING", "OLDEST", "TROUBLE")
        here.screen.table(header, rows, "no replicas: BACKSTAY_REPLICAS names them")
