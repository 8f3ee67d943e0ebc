"""Where the forms of a page stand in its text: their fields, and the folds around them, by position.

Apart from refilling.py, which decides what becomes of them. It reads what our own templates write, so every tag that
must be closed is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import accumulate


@dataclass(slots=True)
class Tag:
    """A start tag: its name, its attributes, and from where to where it reaches in the text."""

    name: str
    attributes: list[tuple[str, str | None]]
    begin: int
    end: int

    def get(self, wanted: str) -> str:
        """The value of an attribute; "" without one."""
        return next((value or "" for name, value in self.attributes if name == wanted), "")

    def has(self, wanted: str) -> bool:
        """Whether it has the attribute, with a value or without."""
        return any(name == wanted for name, _ in self.attributes)


@dataclass(slots=True)
class Option:
    """One choice of a select."""

    tag: Tag
    value: str


@dataclass(slots=True)
class Control:
    """A field of a form. `after` is behind it and its label; `text`, which a textarea holds, ends at `text_end`."""

    tag: Tag
    folds: list[Tag]
    after: int
    text_end: int = 0
    text: str = ""
    options: list[Option] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What it is sent as."""
        return self.tag.get("name")

    @property
    def kind(self) -> str:
        """`textarea`, `select`, or the type of an input."""
        return self.tag.get("type") or "text" if self.tag.name == "input" else self.tag.name


@dataclass(slots=True)
class Form:
    """One form, with the folds that it stands in."""

    tag: Tag
    folds: list[Tag]
    controls: list[Control] = field(default_factory=list)


def forms(page: str) -> list[Form]:
    """All forms of a page that change something."""
    reader = _Reader(page)
    reader.feed(page)
    reader.close()
    return [form for form in reader.forms if form.tag.get("method").lower() == "post"]


class _Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self._lines = [0, *accumulate(len(line) + 1 for line in page.split("\n"))]
        self._page = page
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._folds: list[Tag] = []
        self._labelled: list[Control] | None = None  # controls inside the label that is open
        self._open: Control | None = None  # the textarea or select that is open
        self._option: Option | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        begin = self._here()
        found = Tag(tag, attrs, begin, begin + len(self.get_starttag_text() or ""))
        if tag == "details":
            self._folds.append(found)
        elif tag == "form":
            self._form = Form(found, list(self._folds))
            self.forms.append(self._form)
        elif tag == "label":
            self._labelled = []
        elif tag in ("input", "textarea", "select") and self._form is not None:
            self._control(self._form, found)
        elif tag == "option" and self._open is not None:
            self._option = Option(found, found.get("value"))
            self._open.options.append(self._option)

    def _control(self, form: Form, tag: Tag) -> None:
        made = Control(tag, list(self._folds), tag.end)
        form.controls.append(made)
        if self._labelled is not None:
            self._labelled.append(made)
        if tag.name != "input":
            self._open = made

    def handle_data(self, data: str) -> None:
        if self._open is not None and self._option is None:
            self._open.text += data
        if self._option is not None and not self._option.tag.has("value"):
            self._option.value += data

    def handle_endtag(self, tag: str) -> None:
        begin = self._here()
        end = self._page.find(">", begin) + 1
        if tag == "details" and self._folds:
            self._folds.pop()
        elif tag == "form":
            self._form = None
        elif tag == "label":
            for one in self._labelled or ():
                one.after = end
            self._labelled = None
        elif tag == "option":
            self._option = None
        elif tag in ("textarea", "select") and self._open is not None:
            self._open.text_end, self._open.after = begin, end
            self._open = None

    def _here(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column
