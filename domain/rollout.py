"""Deployments of a course: sent once each, asked for until the result is definite, then looked at.

Apart from the items because every service's deployment has a fate of its own: one that fails does not stop
the others. Waiting is durable: between two looks the operation rests in its row and holds no thread.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from domain.changeset import Effect
from domain.classify import Verdict
from domain.course import Task
from domain.deployment import (
    Progress,
    Sighting,
    current_status,
    deploy_call,
    event_call,
    event_id,
    keeps_ids,
    sight,
    status_call,
    taken_as,
)
from domain.errors import Postponed, RegionUnavailable
from domain.operation import Step, StepState
from domain.region import Call
from domain.saga import Saga

#: Seconds for which a thread itself waits for a deployment before the operation is put aside.
PATIENCE = 2.0
#: Seconds between two looks of an operation that was put aside: from the first to the last.
FIRST_LOOK, LONGEST_LOOK = 1.0, 15.0


class Rollout:
    """The deployments of one attempt. `failures` maps services to (code, sentence, evidence)."""

    def __init__(self, saga: Saga) -> None:
        self._saga, self._journal, self._context = saga, saga.journal, saga.context
        self.failures: dict[str, tuple[str, str, dict[str, Any]]] = {}

    def run(self) -> None:
        """Send what was not sent, then wait until every deployment has a result."""
        for step in self._steps():
            self._context.watch.check()
            if step.reply.get("refused"):
                self._fail(step, *step.reply["refused"])
            elif step.state in (StepState.PENDING, StepState.INTENT):
                self._send(step)
        self._await()

    def _steps(self) -> list[Step]:
        return [
            step
            for step in self._journal.steps("deploy")
            if step.request["service"] not in self._saga.given_up
            and (step.state is not StepState.UNDONE or step.reply.get("refused"))
        ]

    # ------------------------------------------------------------ sending
    def _send(self, step: Step) -> None:
        saga, task = self._saga, self._saga.course.task(step.request["service"])
        handed_over = step.ordinal in saga.inherited
        step = saga.begun(step)
        if handed_over and self.arrived(task, step.request["event"]):
            self._taken(step, step.request["event"], unknown=True)
            return
        call, lost = Call.load(step.request["call"]), handed_over and not self._keeps_ids(task)
        said = saga.dialogue.send(task.place, call, sent_before=lost, unsent=lambda: saga.unsent(step))
        verdict = said.answer.verdict
        if verdict is Verdict.APPLIED:
            self._taken(step, taken_as(said.reply, step.request["event"]), unknown=said.unknown, tries=said.tries)
        elif verdict is Verdict.UNKNOWN:
            if not self.arrived(task, step.request["event"]):
                raise saga.not_now(step, replace(said, unknown=not self._keeps_ids(task)))
            self._taken(step, step.request["event"], unknown=True, tries=said.tries)
        elif verdict in (Verdict.BUSY, Verdict.NOT_SENT):
            raise saga.not_now(step, said)
        else:
            why = said.answer.sentence or f"status {said.reply.status}"
            refused = (said.answer.code, why, {"status": said.reply.status})
            if lost:  # an earlier try may run all the same
                self._journal.end(step, StepState.DONE, said.record() | self._lost(step) | {"failed": refused})
            else:
                self._journal.end(step, StepState.UNDONE, said.record() | {"refused": refused})
            self._fail(step, *refused)

    def _taken(self, step: Step, event: str, *, unknown: bool, tries: list[dict[str, Any]] | None = None) -> None:
        self._journal.end(
            step,
            StepState.DONE,
            {"event": event, "unknown": unknown, "tries": tries or [], "sent_at": self._context.now_ms()},
        )

    def arrived(self, task: Task, event: str) -> bool:
        """Whether the region has a deployment under this id; asked only once nothing older can land."""
        if self._look(task, event).progress is not Progress.UNKNOWN_EVENT:
            return True
        if self._saga.dialogue.settle([task.place], unsettled=True):
            return self._look(task, event).progress is not Progress.UNKNOWN_EVENT
        return False

    def _keeps_ids(self, task: Task) -> bool:
        """Whether the region is known to work under the ids that it is asked with. One that gives its own never finds
        ours, so that what it does not find may run all the same."""
        for step in self._journal.steps():
            if step.kind == "deploy" or step.kind.startswith("redeploy:"):
                same = self._saga.course.task(step.request["service"]).place.region == task.place.region
                if same and "event" in step.reply and not step.reply.get("lost"):
                    return bool(step.reply["event"] == step.request["event"])
        records = self._context.records
        return keeps_ids(
            [found for kind in ("upgrade", "rollback") for found in records.history(task.service_id, kind)]
        )

    @staticmethod
    def _lost(step: Step) -> dict[str, Any]:
        """The reply of a deployment of which nobody knows whether it runs, and nobody can find out."""
        return {"event": step.request["event"], "unknown": True, "lost": True}

    # ------------------------------------------------------------ waiting
    def _await(self) -> None:
        clock = self._context.clock
        began, pause = clock.boottime(), 0.05
        while waiting := [step for step in self._steps() if step.state is StepState.DONE and not self._decided(step)]:
            if clock.boottime() - began > PATIENCE:
                waited = (self._context.now_ms() - min(step.reply["sent_at"] for step in waiting)) / 1000
                names = ", ".join(step.request["service"] for step in waiting)
                raise Postponed(
                    f"waiting for the region to deploy {names}",
                    code="deploying",
                    delay=min(LONGEST_LOOK, max(FIRST_LOOK, waited / 10)),
                )
            self._saga.dialogue.rest(pause)
            self._context.watch.check()
            pause = min(pause * 1.5, 0.5)

    def _decided(self, step: Step) -> bool:
        """Look once; True when the deployment and its gate have a result."""
        reply, task = step.reply, self._saga.course.task(step.request["service"])
        if reply.get("failed"):
            self._fail(step, *reply["failed"])
            return True
        if not reply.get("deployed"):
            seen = self._look(task, reply["event"])
            late = self._context.now_ms() - reply["sent_at"] > self._saga.course.deploy_seconds * 1000
            if seen.progress is Progress.SUCCEEDED:
                reply = reply | {"deployed": self._context.now_ms(), "words": seen.words}
                step = self._journal.end(step, StepState.DONE, reply)
            elif seen.progress is Progress.FAILED:
                return self._failed(step, "deploy-failed", f"the region could not deploy it: {seen.words}", task)
            elif late:
                return self._failed(
                    step,
                    "deploy-unknown",
                    f"no definite result of the deployment in time; last seen: {seen.progress}",
                    task,
                )
            else:
                return False
        return self._healthy(step, task)

    def _healthy(self, step: Step, task: Task) -> bool:
        """The gate. True when it is passed or has failed."""
        health = self._saga.course.health
        if step.reply.get("healthy") or (health.status is None and not health.hook):
            return True
        status = self._status(task, needed=True) if health.status else None
        hook = self._context.health_hook(task.service_id) if health.hook and status == health.status else None
        if status == health.status and (hook is None or hook.passed):
            self._journal.end(step, StepState.DONE, step.reply | {"healthy": True})
            return True
        if self._context.now_ms() - step.reply["deployed"] < health.within_seconds * 1000:
            return False
        sentence = (
            f"its status was {status!r} instead of {health.status!r}"
            if status != health.status
            else "the health hook failed"
        )
        evidence = {"status": status, "hook_output": hook.output if hook else None}
        return self._failed(step, "unhealthy", f"after the deployment {sentence}", task, evidence)

    def _failed(self, step: Step, code: str, sentence: str, task: Task, more: dict[str, Any] | None = None) -> bool:
        """Gather what a person needs to see before it is undone, and write it down."""
        evidence = {"event": step.reply["event"], "message": step.reply.get("words", ""), **(more or {})}
        evidence.setdefault("status", self._status(task))
        self._journal.end(step, StepState.DONE, step.reply | {"failed": [code, sentence, evidence]})
        self._fail(step, code, sentence, evidence)
        return True

    def _fail(self, step: Step, code: str, sentence: str, evidence: dict[str, Any]) -> None:
        self.failures[step.request["service"]] = (code, sentence, evidence)

    def _look(self, task: Task, event: str) -> Sighting:
        said = self._saga.dialogue.send(task.place, event_call(event))
        if said.answer.verdict is not Verdict.APPLIED:
            raise RegionUnavailable(
                f"region {task.place.region} does not say what became of the deployment of {task.service_id}: "
                f"{said.answer.sentence}",
                code=said.answer.code or "region-unavailable",
            )
        return sight(said.reply, event)

    def _status(self, task: Task, *, needed: bool = False) -> str:
        """What runs. `needed`: no answer is no status, so the question is asked again later; as mere evidence it may
        be missing."""
        said = self._saga.dialogue.send(task.place, status_call())
        if needed and said.answer.verdict is not Verdict.APPLIED:
            raise RegionUnavailable(
                f"region {task.place.region} does not say how {task.service_id} is: {said.answer.sentence}",
                code=said.answer.code or "region-unavailable",
            )
        return current_status(said.reply)

    # ------------------------------------------------------------ the way back
    def may_have_run(self, task: Task) -> bool:
        """Whether the new state may have been deployed and the old one is not back yet.

        Found out once and written down (DONE or UNDONE), because the data and what runs on it go back together or
        not at all, also when whoever puts them back dies between the two.
        """
        step = self._deploy_step(task)
        if step is None or step.state is not StepState.INTENT:
            return step is not None and step.state is StepState.DONE
        reply: dict[str, Any] = {}
        if not step.request.get("idle"):
            if self.arrived(task, step.request["event"]):
                reply = {"event": step.request["event"], "unknown": True}
            elif not self._keeps_ids(task):
                reply = self._lost(step)
        self._journal.end(step, StepState.DONE if reply else StepState.UNDONE, reply)
        return bool(reply)

    def put_back(self, task: Task, undo_effect: Effect) -> None:
        """Deploy the old state again, where `may_have_run`, and wait for its success."""
        step = self._deploy_step(task)
        assert step is not None, "what was never to be deployed cannot have run"
        self._redeploy(task, undo_effect)
        self._journal.end(step, StepState.UNDONE, step.reply)

    def _deploy_step(self, task: Task) -> Step | None:
        return next((s for s in self._journal.steps("deploy") if s.request["service"] == task.service_id), None)

    def _redeploy(self, task: Task, effect: Effect) -> None:
        context = self._context
        for number in itertools.count():
            name = f"redeploy:{task.service_id}:{number}"
            found = self._journal.find(name)
            event = event_id(context.operation.op_id, task.service_id, f"{self._saga.course.purpose}-back-{number}")
            if found is not None and found.reply.get("failed"):
                continue
            if found is None:
                call = deploy_call(effect, task.before(), task.place, event)
                found = self._journal.begin(name, {"service": task.service_id, "event": event, "call": call.document()})
            elif found.state is StepState.INTENT and self.arrived(task, event):
                found = self._journal.end(found, StepState.DONE, {"event": event, "sent_at": context.now_ms()})
            if found.state is StepState.INTENT:
                said = self._saga.dialogue.send(task.place, Call.load(found.request["call"]), undoing=True)
                if said.answer.verdict is not Verdict.APPLIED:
                    raise RegionUnavailable(
                        f"region {task.place.region} did not deploy the old state of {task.service_id}: "
                        f"{said.answer.sentence or said.reply.status}",
                        code="undo-refused",
                    )
                event = taken_as(said.reply, event)
                found = self._journal.end(found, StepState.DONE, {"event": event, "sent_at": context.now_ms()})
            self._await_old(task, found)
            return

    def _await_old(self, task: Task, step: Step) -> None:
        clock = self._context.clock
        began = clock.boottime()
        while True:
            seen = self._look(task, step.reply["event"])
            if seen.progress is Progress.SUCCEEDED:
                return
            late = self._context.now_ms() - step.reply["sent_at"] > self._saga.course.deploy_seconds * 1000
            if seen.progress is Progress.FAILED or late:
                self._journal.end(step, StepState.DONE, step.reply | {"failed": True})
                raise RegionUnavailable(
                    f"the old state of service {task.service_id} could not be deployed: {seen.words or seen.progress}",
                    code="undo-refused",
                )
            if clock.boottime() - began > PATIENCE:
                raise Postponed(
                    f"waiting for the region to put {task.service_id} back", code="deploying", delay=FIRST_LOOK
                )
            self._saga.dialogue.rest(0.1)
