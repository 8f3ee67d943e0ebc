"""The checks of `backstay doctor` about what all nodes share: settings, keys, database, broker, stores.

Apart from the command because these know the parts of the system and that one only how to tell. A check
answers with a report or raises; it leaves nothing behind but what a node makes on its first start.
"""

from __future__ import annotations

import time

from domain.errors import BackstayError, Damaged
from workers.cli.reports import CLOCKS, SKEW_SECONDS, Report
from workers.cli.session import Session

#: Messages in the broker beyond which intake is behind.
BACKLOG = 10_000
#: Seconds: one try of a call to a store (20), and room to renew the lease before it.
SHORTEST_LEASE = 25
KEEP_MESSAGES = (
    "run Redis with `appendonly yes` and `maxmemory-policy noeviction`; until then publishers must repeat, with the "
    "same id, what no event answers"
)


def configuration(here: Session) -> Report:
    """It has been read, or there would be no session: which settings are given, and where."""
    import handlers
    from workers.node_report import misspelt_slots

    if trouble := misspelt_slots(here.settings.slots or {}, handlers.subscriptions()):
        return Report("configuration", "fail", trouble, "correct it: a worker does not start with it")
    origins = here.settings.origins
    given = [f"{name} ({origin})" for name, origin in origins.items() if origin != "default"]
    detail = f"node {here.settings.node}; {len(given)} of {len(origins)} settings given"
    if here.settings.lease_seconds < SHORTEST_LEASE:
        short = f"a lease of {here.settings.lease_seconds} s is shorter than a store may take to answer"
        next_step = f"set BACKSTAY_LEASE_SECONDS to {SHORTEST_LEASE} or more: work that only waits would count as dead"
        return Report("configuration", "warn", short, next_step)
    return Report("configuration", "ok", f"{detail}: {', '.join(given)}" if given else detail)


def keys(here: Session) -> Report:
    """The ring seals and unseals."""
    ring = here.system.keyring
    if ring.unseal(ring.seal(b"probe", b"doctor"), b"doctor") != b"probe":
        return Report("keys", "fail", "what was sealed does not open", "restore the key ring from its backup")
    if here.settings.secret_keys is None:
        return Report(
            "keys",
            "ok",
            f"embedded ring {here.settings.data_dir}/secret.keys; without a copy of it elsewhere, losing this "
            "directory loses every sealed configuration",
        )
    return Report("keys", "ok", f"key {ring.current} seals")


def encryption(here: Session) -> Report:
    """New snapshots are sealed."""
    if here.settings.encryption:
        return Report("encryption", "ok", "new snapshots are sealed")
    return Report(
        "encryption", "warn", "new snapshots are readable by whoever reads the store", "set BACKSTAY_ENCRYPTION=on"
    )


def database(here: Session) -> Report:
    """It answers, has this program's schema, lets itself be written, and goes by the same time."""
    data = here.database()
    data.take_turn()
    began = time.monotonic()
    skew = time.time() - data.now_ms() / 1000
    took = (time.monotonic() - began) * 1000
    kind = here.settings.database_url.partition(":")[0]
    detail = f"{kind}; {data.schema()}; answered in {took:.0f} ms; its clock {_apart(skew)}"
    if off := data.durability_off():
        kept = f"{detail}; {' and '.join(off)} off: a crash of its server can take back what it has committed"
        return Report("database", "warn", kept, f"turn on {' and '.join(off)} in PostgreSQL's settings")
    if abs(skew) > SKEW_SECONDS:
        return Report("database", "warn", detail, CLOCKS)
    return Report("database", "ok", detail)


def _apart(seconds: float) -> str:
    return "agrees with ours" if abs(seconds) < 1 else f"is {abs(seconds):.0f} s {'behind' if seconds > 0 else 'ahead'}"


def sealed(here: Session) -> Report:
    """The ring opens what this database holds: a ring that is in order may still be another one."""
    data = here.database()
    newest = data.list_operations(limit=1)
    if not newest:
        return Report("sealed data", "ok", "nothing is sealed yet")
    try:
        data.ledger.get(newest[0].op_id)
    except Damaged as error:
        return Report(
            "sealed data",
            "fail",
            f"the data of operation {newest[0].op_id} does not open: {error}",
            "put the key ring back that this database was written with; without it nothing queued can run",
        )
    return Report("sealed data", "ok", f"the ring opens the newest operation, {newest[0].op_id}")


def broker(here: Session) -> Report:
    """It can be reached, keeps what it confirms, and somebody takes from the queue of commands; nothing is declared."""
    from workers.border import INBOX, connect, driver_errors, forgets, queue_state

    connection = connect(here.settings.broker_url)
    try:
        connection.connect()
        state, lost = queue_state(connection), forgets(connection.channel())
        connection.release()
    except driver_errors(connection) as error:
        return Report("broker", "fail", f"cannot be reached ({type(error).__name__}: {error})", "check BROKER_URL")
    kind = here.settings.broker_url.partition(":")[0]
    if lost:
        return Report("broker", "warn", f"{kind} answers, but {'; '.join(lost)}", KEEP_MESSAGES)
    if state is None:
        return Report("broker", "ok", f"{kind} answers; the queue {INBOX} is made by the first node or publisher")
    messages, consumers = state
    detail = f"{kind} answers; {messages} messages wait in {INBOX}"
    if consumers is not None:
        detail += f", {consumers} consumers take them"
    if consumers == 0:
        return Report("broker", "warn", detail, "nobody takes commands: start a worker, `backstay worker`")
    if messages > BACKLOG:
        return Report("broker", "warn", detail, "`backstay nodes list` shows who should take them; intake pauses while "
                      f"{here.settings.backlog_limit} operations wait")  # fmt: skip
    return Report("broker", "ok", detail)


def store(here: Session) -> Report:
    """The store can do what snapshots rest on; asked now, and remembered for the nodes."""
    from workers.abilities import abilities
    from workers.clock import SystemClock

    began = time.monotonic()
    found, _ = abilities(here.system, SystemClock(), fresh=True)
    lacking = [one for one in found if not one.works]
    if not lacking:
        took = (time.monotonic() - began) * 1000
        return Report("store", "ok", f"{', '.join(one.name for one in found)}: all work, in {took:.0f} ms")
    verdict = "fail" if any(one.needed for one in lacking) else "warn"
    detail = "; ".join(f"{one.name}: {one.sentence}" for one in lacking)
    return Report("store", verdict, detail, "; ".join(one.next_step for one in lacking))


def replicas(here: Session) -> Report:
    """Every further store can do what copies rest on, and has all snapshots."""
    names = here.settings.replicas or {}
    if not names:
        return Report("replicas", "ok", "none are configured: snapshots are in one store")
    unfit: list[str] = []
    worse: list[str] = []
    advice: list[str] = []
    for name in names:
        try:
            lacking = [one for one in here.system.examine_store(name) if not one.works]
        except (BackstayError, OSError) as error:
            unfit.append(f"{name}: {error}")
            continue
        for one in lacking:
            (unfit if one.needed else worse).append(f"{name}: {one.name}: {one.sentence}")
            advice.append(f"{name}: {one.next_step}")
    if unfit:
        return Report("replicas", "fail", "; ".join(unfit), "mend it, or take it out of BACKSTAY_REPLICAS")
    found = [here.database().copies.state_of(name) for name in names]
    late = [f"{one.replica} lacks {one.pending} ({one.trouble or 'under way'})" for one in found if one.pending]
    if late:
        return Report("replicas", "warn", "; ".join(late), "`backstay replicas` tells how far each one is")
    if worse:
        return Report("replicas", "warn", "; ".join(worse), "; ".join(advice))
    return Report("replicas", "ok", f"{len(names)} have every snapshot; policy {here.settings.replica_policy}")
