"""What a region's reply means: the one place where statuses and messages become decisions.

Apart from the sending because it is pure, and from the saga because both directions use it. Which reply is
which was read from the region's own sources; the table is in docs/region.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from domain.region import Call, Reply, Trouble


class Verdict(StrEnum):
    """What to do after a reply."""

    APPLIED = "applied"  # it holds
    EXISTS = "exists"  # ignorable: the item was there before we came
    LEFT_OUT = "left-out"  # ignorable: the region will not have this item; never silent
    REFUSED = "refused"  # it will never hold: turn back
    BUSY = "busy"  # not now; the operation waits in its row
    NOT_SENT = "not-sent"  # certainly not applied; try again
    UNKNOWN = "unknown"  # may have been applied
    FENCED = "fenced"  # a later holder works on the service: stop, touch nothing


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict with the words that a person needs."""

    verdict: Verdict
    code: str = ""  # reason code of a refusal
    sentence: str = ""


_EXISTS = re.compile(r"already exist|record already|\bis exist\b|same (kind|category)|already (linked|installed)", re.I)
_BUSY = re.compile(r"last event is running|too frequent|operation.+running", re.I)
_MISSING_SERVICE = re.compile(r"cant find (tenant|service)", re.I)


def classify(call: Call, reply: Reply, *, sent_before: bool = False, undoing: bool = False) -> Answer:
    """The verdict on `reply`.

    `sent_before`: an earlier try of this very call may have been applied. `undoing`: nothing is ignorable,
    because a compensation that did not happen must never look like one that did.
    """
    if reply.trouble is not None:
        verdict = Verdict.NOT_SENT if reply.trouble is Trouble.NOT_SENT else Verdict.UNKNOWN
        return Answer(verdict, "region-unreachable", reply.message)
    if reply.fenced:
        return Answer(Verdict.FENCED, "fenced", reply.message)
    if 200 <= reply.status < 300:
        return _success(call, reply)
    words = reply.message or f"status {reply.status}"
    if reply.status == 404 and call.method == "DELETE" and not _MISSING_SERVICE.search(words):
        return Answer(Verdict.APPLIED, "absent", words)  # what is to be removed is not there
    if reply.status == 400:
        return _bad_request(call, words, sent_before=sent_before, undoing=undoing)
    if reply.status in (409, 423, 425, 429) or _BUSY.search(words):
        return Answer(Verdict.BUSY, "region-busy", words)
    if reply.status == 503 and reply.retry_after is not None:
        return Answer(Verdict.BUSY, "region-busy", words)
    if reply.status >= 500:
        if _EXISTS.search(words) and not undoing:
            return Answer(Verdict.APPLIED if sent_before else Verdict.EXISTS, "exists", words)
        return Answer(Verdict.UNKNOWN, "region-failed", words)
    code = {401: "region-denied", 403: "region-denied", 404: "region-unknown-item", 412: "region-quota"}
    refusal = "region-unknown-service" if _MISSING_SERVICE.search(words) else code.get(reply.status, "region-refused")
    return Answer(Verdict.REFUSED, refusal, words)


def _success(call: Call, reply: Reply) -> Answer:
    """2xx; a deployment must also say that it was taken, because refusals come with status 200 too."""
    if call.name not in ("build", "upgrade"):
        return Answer(Verdict.APPLIED)
    bean = reply.bean if isinstance(reply.bean, dict) else {}
    status, words = str(bean.get("status", "")), str(bean.get("err_message", ""))
    if status == "success":
        return Answer(Verdict.APPLIED)
    if status == "" and not words and "event_id" not in bean:
        return Answer(
            Verdict.UNKNOWN, "region-failed", "the region's reply does not say whether it took the deployment"
        )
    if _BUSY.search(words) or not words:
        return Answer(Verdict.BUSY, "region-busy", words or "the region did not take the deployment")
    return Answer(Verdict.REFUSED, "deploy-refused", words)


def _bad_request(call: Call, words: str, *, sent_before: bool, undoing: bool) -> Answer:
    if undoing:
        return Answer(Verdict.REFUSED, "undo-refused", words)
    if _EXISTS.search(words):
        if sent_before and call.optional:
            return Answer(Verdict.APPLIED, "exists", words)  # our own first try is what exists
        return Answer(Verdict.EXISTS if call.optional else Verdict.REFUSED, "exists", words)
    if call.optional and not sent_before:  # left out is only what certainly never arrived
        return Answer(Verdict.LEFT_OUT, "left-out", words)
    return Answer(Verdict.REFUSED, "region-refused", words)
