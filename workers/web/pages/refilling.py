"""A page with one of its forms as somebody sent it: their input back in its fields, and what was wrong beside them.

Apart from the templates, so that every form has this, also one that is written tomorrow, and none has to think of it.
Pure: text in, text out. The page is not written anew: only tags of that form's own fields are replaced where they
stand. What is hidden stays as the page has it unless it is named, and what is secret (a password, a file) is never put
back.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import unquote, urlsplit

from workers.web.pages.forms import Control, Form, Tag, forms
from workers.web.pages.wording import sentence, visible

#: Types of fields whose value is the page's own, or a secret.
_NOT_KEPT = frozenset({"hidden", "password", "file", "submit", "button", "image", "reset"})
_PATH = re.compile(r"([A-Za-z_][\w.-]*): ")

Sent = Mapping[str, Sequence[str]]
#: From where, to where, and what stands there instead.
_Edit = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. `field` is a name, or a dotted path that holds one; without, it is about the form."""

    sentence: str
    field: str = ""
    next_step: str = ""

    @property
    def told(self) -> str:
        """The sentence as it stands beside the field, so without the field's path."""
        found = _PATH.match(self.sentence)
        if found is not None and self.field and found[1] in (self.field, self.field.rpartition(".")[2]):
            return sentence(self.sentence[found.end() :])
        return sentence(self.sentence)


def refilled(
    page: str, at: str, action: str, sent: Sent, faults: Sequence[Fault], kept: Container[str] = ()
) -> str | None:
    """The page with that form filled in again and the first wrong field in focus; None when the page has no form for
    that address (any more). `at` is the page's own address, `action` the path that the form was sent to; `kept` are
    the hidden fields that go back as they came."""
    found = [form for form in forms(page) if _path(form.tag.get("action") or at) == action]
    if not found:
        return None
    form = max(found, key=lambda one: _likeness(one, sent))  # several forms may be sent to one address
    for begin, end, text in sorted([*_edits(form, sent, faults), *_unchanged(form, sent, kept)], reverse=True):
        page = page[:begin] + text + page[end:]
    return page


def _path(address: str) -> str:
    return unquote(urlsplit(address).path)


def _likeness(form: Form, sent: Sent) -> int:
    hidden = [one for one in form.controls if one.kind == "hidden"]
    return sum(one.tag.get("value") in sent.get(one.name, ()) for one in hidden)


def _edits(form: Form, sent: Sent, faults: Sequence[Fault]) -> Iterator[_Edit]:
    at: dict[int, list[Fault]] = {}  # by the place of the field; -1 is the form itself
    for fault in faults:
        at.setdefault(_place(form, fault), []).append(fault)
    first = min((place for place in at if place >= 0), default=-1)
    folds = {fold.begin: fold for fold in form.folds}
    for place, control in enumerate(form.controls):
        wrong = at.get(place, [])
        yield from _field(control, sent, wrong, f"fault-{place}" if wrong else "", focus=place == first)
        if wrong or _is_changed(control, sent):
            folds |= {fold.begin: fold for fold in control.folds}
    for fault in at.get(-1, []):
        yield form.tag.end, form.tag.end, _of_the_form(fault, focus=first < 0)
    yield from ((fold.begin, fold.end, _written(fold, open="")) for fold in folds.values())


def _unchanged(form: Form, sent: Sent, kept: Container[str]) -> Iterator[_Edit]:
    for control in form.controls:
        if control.kind == "hidden" and control.name in kept and sent.get(control.name):
            yield control.tag.begin, control.tag.end, _written(control.tag, value=sent[control.name][0])


def _place(form: Form, fault: Fault) -> int:
    """Which field it is about."""
    path = fault.field.split(".")
    for place, control in enumerate(form.controls):
        if control.kind != "hidden" and control.name in path:
            return place
    return -1


def _field(control: Control, sent: Sent, wrong: Sequence[Fault], fault_id: str, *, focus: bool) -> Iterator[_Edit]:
    given, tag = list(sent.get(control.name, ())), control.tag
    set_: dict[str, str] = {}
    drop: set[str] = set()
    if control.kind in ("checkbox", "radio"):
        if given or control.kind == "checkbox":
            drop = {"checked"}
            set_ |= {"checked": ""} if (tag.get("value") or "on") in given else {}
    elif control.kind == "select" and given:
        for option in control.options:
            chosen = {"selected": ""} if option.value in given else {}
            yield option.tag.begin, option.tag.end, _written(option.tag, drop={"selected"}, **chosen)
    elif control.kind == "textarea" and given:
        yield tag.end, control.text_end, f"\n{escape(given[0])}"  # the first line break is not part of the text
    elif control.kind not in _NOT_KEPT and given:
        set_["value"] = given[0]
    if wrong:
        described = f"{tag.get('aria-describedby')} {fault_id}".strip()
        set_ |= {"aria-invalid": "true", "aria-describedby": described} | ({"autofocus": ""} if focus else {})
        told = " ".join(escape(visible(fault.told)) for fault in wrong)
        yield control.after, control.after, f'<p class="fault" id="{fault_id}" role="alert">{told}</p>'
    if set_ or drop:
        yield tag.begin, tag.end, _written(tag, drop=drop, **set_)


def _is_changed(control: Control, sent: Sent) -> bool:
    """Whether somebody put something else there than the page had, which a fold must not hide."""
    given = list(sent.get(control.name, ()))
    if control.kind in ("checkbox", "radio"):
        return control.tag.has("checked") != ((control.tag.get("value") or "on") in given)
    if control.kind in _NOT_KEPT or control.kind == "select" or not given:
        return False
    had = control.text.strip() if control.kind == "textarea" else control.tag.get("value")
    return given[0].strip() != had


def _of_the_form(fault: Fault, *, focus: bool) -> str:
    more = f'<span class="next">{escape(visible(sentence(fault.next_step)))}</span>' if fault.next_step else ""
    told = f"<strong>{escape(visible(fault.told))}</strong>{more}"
    return f'<div class="callout bad" role="alert" tabindex="-1"{" autofocus" if focus else ""}>{told}</div>'


def _written(tag: Tag, drop: set[str] | frozenset[str] = frozenset(), **more: str) -> str:
    kept = {name: value for name, value in tag.attributes if name not in drop} | more
    return "".join([f"<{tag.name}", *(f' {name}="{escape(value or "")}"' for name, value in kept.items()), ">"])
