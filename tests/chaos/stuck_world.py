"""An upgrade that only a person can end, or that kills its workers, with a command waiting behind it; and its promises.

Apart from `upgrade_world`, whose upgrades all end by themselves, because here nodes have small budgets, and work until
the service is locked, or until a person's word has let everything go on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sqlalchemy import create_engine, text

from domain.operation import TERMINAL, Budget, Operation, State
from domain.upgrade_record import Status
from tests.acceptance.shop import REGISTRY_PASSWORD
from tests.acceptance.terms import TENANT
from tests.chaos.upgrade_promises import snapshots_restore
from tests.chaos.upgrade_world import KEYS, Scenario, Truth, UpgradeWorld, always, begin
from tests.chaos.victim import Death, End, run_node
from tests.chaos.world import SOURCE, all_over, no_secret_anywhere, nothing_left_over
from tests.command_line import Answer, answer_of
from tests.prove.listener import Listener
from workers.bootstrap import System

_UPGRADE = ("upgrade-service", {"version": "v2.0"})
#: Half-way it is refused, and of the way back the region takes everything but variables.
REFUSED_BACK = Scenario(
    "refused-back",
    *_UPGRADE,
    State.STUCK,
    Status.COMPENSATION_FAILED,
    rules=(always("POST", "/depvolumes$", 404), always("POST", "/app-restore/envs$", 403)),
)
#: Nothing refuses anything: what goes wrong is that workers die.
WILLING = Scenario("willing", *_UPGRADE, State.SUCCEEDED, Status.UPGRADED)


@dataclass(frozen=True, slots=True)
class Ordeal:
    """An upgrade, and a command for the same service that was published right behind it."""

    world: UpgradeWorld
    budget: Budget
    before: Truth  # what the three places held when the upgrade was published
    listener: Listener

    @property
    def upgrade(self) -> str:
        """Its message."""
        return self.world.messages[-2]

    @property
    def waiting(self) -> str:
        """The message of the command behind it."""
        return self.world.messages[-1]

    # ------------------------------------------------------------ copies
    def copy_to(self, home: Path) -> Ordeal:
        """The same in another directory, with the region as it was."""
        world = self.world.copy_to(home)
        return replace(self, world=world, listener=Listener(world.settings.broker_url))

    def as_it_is(self) -> Ordeal:
        """From now on a copy has the region that there is now."""
        return replace(self, world=replace(self.world, root=self.world.region.root()))

    # ------------------------------------------------------------ who works on it
    def until_upgraded(self, death: Death | None = None) -> End:
        """A node that works until the upgrade has ended or is STUCK, and that is told; or dies there."""
        return self._work([self.upgrade], {*TERMINAL, State.STUCK}, death)

    def until_over(self, death: Death | None = None) -> End:
        """A node that works until everything has ended; or dies there."""
        return self._work(self.world.messages, TERMINAL, death)

    def resolve(self, how: str) -> Answer:
        """A person's word, as it is said on the command line."""
        with opened(self) as system:
            op_id = find(system, self.upgrade).op_id
        here = {"BACKSTAY_DATA_DIR": str(self.world.home), "BACKSTAY_SECRET_KEYS": KEYS}
        return answer_of(("operations", "resolve", op_id, f"--{how}", "--yes", "--reason", "looked at it"), here)

    def _work(self, messages: Collection[str], ends: Collection[State], death: Death | None) -> End:
        home = self.world.home
        finished = partial(all_over, home, tuple(messages), ends=ends)
        trace = home.parent / f"{home.name}.trace"
        return run_node(self.world.settings, finished, trace, death, log=home / "log", budget=self.budget)


def prepare(installed: UpgradeWorld, scenario: Scenario, budget: Budget, home: Path) -> Ordeal:
    """Both commands in the spool, and somebody who listens."""
    world = begin(installed, scenario, home)
    world.region.script(*scenario.rules)
    listener = Listener(world.settings.broker_url)
    system = System(world.settings)
    before = world.truth(system)
    system.close()
    world = world.order("hold-version", {"version": "v3.0"}, service=world.names.web)
    return Ordeal(world, budget, before, listener)


@contextmanager
def opened(ordeal: Ordeal) -> Iterator[System]:
    """What lies in its data directory."""
    system = System(ordeal.world.settings)
    try:
        yield system
    finally:
        system.close()


def find(system: System, message: str) -> Operation:
    """The one operation of a message."""
    found = system.database.find_by_message(SOURCE, message)
    assert found is not None, f"{message} was lost"
    return found


# ---------------------------------------------------------------- the promises
def is_locked_and_reported(ordeal: Ordeal, code: str, left: Collection[str], holds: Collection[str]) -> None:
    """I2: the service stays reserved, it is told once, kept once, and said what is `left` to put back; the region
    `holds` something else than before in these sections, and nowhere else."""
    with opened(ordeal) as system:
        upgrade, waiting = find(system, ordeal.upgrade), find(system, ordeal.waiting)
        assert upgrade.state is State.STUCK, f"ended as {upgrade.state}: {upgrade.outcome}"
        assert upgrade.outcome is not None and upgrade.error_code == code
        items = [(item["name"], item["code"]) for item in upgrade.outcome["items"]]
        web = ordeal.world.names.web
        assert items == [(f"{web}/{name}", "not-put-back") for name in left]
        assert (waiting.state, waiting.claims_no_progress) == (State.QUEUED, 0), "the service is not reserved"
        assert system.database.ledger.claim("chaos-1", "chaos-1|another", 9, 60_000) == [], "something else begins"
        _is_told(ordeal, upgrade, ["stuck"])
        _letters(system, upgrade, [code])
        assert [r.status for r in system.database.records.of(upgrade.op_id)] == [Status.COMPENSATION_FAILED]
        now, before = ordeal.world.truth(system), ordeal.before
        assert (now.console, now.image, now.tree) == (before.console, before.image, before.tree)
        changed = {
            (service, name)
            for service, sections in now.region.items()
            for name, rows in sections.items()
            if rows != before.region[service][name]
        }
        assert changed == {(web, name) for name in holds}


def has_ended_once(
    ordeal: Ordeal, state: State, status: Status, *, told: list[str], letters: Collection[str] = ()
) -> None:
    """I5, I17, I18: ended so, `told` so and not otherwise, with these `letters` open; what had waited has gone on."""
    world = ordeal.world
    with opened(ordeal) as system:
        upgrade = find(system, ordeal.upgrade)
        assert upgrade.state is state, f"ended as {upgrade.state}: {upgrade.outcome}"
        assert find(system, ordeal.waiting).state is State.SUCCEEDED, "the service is not free"
        _is_told(ordeal, upgrade, told)
        _letters(system, upgrade, letters)
        assert [r.status for r in system.database.records.of(upgrade.op_id)] == [status]
        assert len(system.database.list_operations(limit=100)) == len(world.messages)
        snapshots_restore(world, system)
        nothing_left_over(world.home, system, [world.names.web])
        no_secret_anywhere(world.home, REGISTRY_PASSWORD)


def is_as_before(ordeal: Ordeal) -> None:
    """I20: console, region and directory."""
    with opened(ordeal) as system:
        assert ordeal.world.truth(system) == ordeal.before


def _is_told(ordeal: Ordeal, upgrade: Operation, how: list[str]) -> None:
    engine = create_engine(ordeal.world.settings.database_url)
    with engine.connect() as connection:
        asked = text("SELECT topic FROM outbox WHERE op_id = :op_id ORDER BY seq")
        topics = list(connection.scalars(asked, {"op_id": upgrade.op_id}))
    engine.dispose()
    assert topics == [f"{upgrade.kind}.{end}.{TENANT}" for end in how]
    ordeal.listener.listen()
    assert ordeal.listener.ends(upgrade.op_id) == how, "what was told was not heard, or more was"


def _letters(system: System, upgrade: Operation, reasons: Collection[str]) -> None:
    found = system.database.dead_letters.list(resolved=False, limit=100, before=None)
    assert [(letter.op_id, letter.reason) for letter in found] == [(upgrade.op_id, reason) for reason in reasons]
