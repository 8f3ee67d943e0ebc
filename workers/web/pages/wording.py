"""How figures, times and states are worded on a page: pure, so that every page says the same thing the same way.

Apart from the templates because a wrong unit is a bug and needs a test. A state always has a word and a sign
besides its colour; texts that came in messages lose what a browser would hide or turn round.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

#: state or verdict -> (word, tone, sign). Tones are colours of the style sheet: ok, run, warn, bad, quiet.
STATES = {
    "QUEUED": ("queued", "quiet", "…"),
    "RUNNING": ("running", "run", "●"),
    "COMPENSATING": ("being put back", "warn", "↺"),
    "STUCK": ("stuck", "bad", "!"),
    "SUCCEEDED": ("succeeded", "ok", "✓"),
    "ROLLED_BACK": ("rolled back", "warn", "↺"),
    "FAILED": ("failed", "bad", "✕"),
    "CANCELLED": ("cancelled", "quiet", "–"),
    "available": ("available", "ok", "✓"),
    "corrupt": ("damaged", "bad", "✕"),
    "deleting": ("being deleted", "quiet", "–"),
    "PENDING": ("not begun", "quiet", "○"),
    "INTENT": ("sent, answer unknown", "warn", "?"),
    "DONE": ("done", "ok", "✓"),
    "UNDONE": ("put back", "warn", "↺"),
    "IGNORED": ("400, ignored", "warn", "~"),
    "UPGRADED": ("upgraded", "ok", "✓"),
    "ROLLBACK": ("rolled back", "ok", "↺"),
    "replayed": ("replayed", "ok", "✓"),
    "discarded": ("discarded", "quiet", "–"),
    "edited": ("edited", "ok", "✓"),
}
_UNITS = (("day", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def of_tenant(address: str, tenant: str | None) -> str:
    """The address of a list, of that tenant's rows: who looks after several would get those of the first one."""
    if not tenant:
        return address
    return f"{address}{'&' if '?' in address else '?'}tenant={quote(tenant, safe='')}"


def state(value: object) -> tuple[str, str, str]:
    """(word, tone, sign) of a state; one that is not known is shown as it is, in a quiet tone."""
    name = str(getattr(value, "value", value))
    if name in STATES:
        return STATES[name]
    word = name.lower().replace("_", " ")
    return word, "bad" if "fail" in word else "quiet", "✕" if "fail" in word else "·"


def span(milliseconds: float) -> str:
    """A length of time in its one or two largest units: `3 h 12 min`, `40 s`, `120 ms`."""
    if milliseconds < 1000:
        return f"{max(0, round(milliseconds))} ms"
    left, parts = int(milliseconds // 1000), []
    for name, seconds in _UNITS:
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count} {name}{'s' if name == 'day' and count > 1 else ''}")
        if len(parts) == 2 or (parts and not count):
            break
    return " ".join(parts)


def moment(milliseconds: int) -> str:
    """A point in time as people write it, in UTC; `never` for 0."""
    if not milliseconds:
        return "never"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def machine_time(milliseconds: int) -> str:
    """The same for the `datetime` attribute of a `time` element."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def size(count: float | None) -> str:
    """Bytes in a unit of a thousand: `1.4 GB`."""
    if count is None:
        return "–"
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def number(count: float) -> str:
    """A count with thin spaces between thousands."""
    return f"{count:,}".replace(",", "\u202f")


def short(identifier: object) -> str:
    """Enough of an id to tell it from its neighbours; the whole one stands beside it for copying.

    The beginning of our ids is their time, which a list shows anyway, so the end is what differs.
    """
    text = str(identifier)
    return text if len(text) <= 20 else f"{text[:4]}…{text[-8:]}"


def sentence(text: str) -> str:
    """With a capital at its beginning, because errors are worded to stand after a colon; but names stay as they are."""
    first = text.partition(" ")[0].rstrip(":,")
    return text[:1].upper() + text[1:] if first.isalpha() else text


def visible(value: object) -> str:
    """Text from outside with everything visible: control characters and changes of direction become signs."""
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co")
        else "\N{REPLACEMENT CHARACTER}"
        for character in str(value)
    )


def figure(name: str, value: Any) -> str:
    """One figure of an outcome, by what its name says it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and (name == "bytes" or name.endswith("_bytes")):
        return size(value)
    if isinstance(value, int) and name.endswith("_at"):
        return moment(value)
    if isinstance(value, int):
        return number(value)
    return visible(value)


def share(progress: dict[str, Any] | None) -> int | None:
    """How much is done in percent, by bytes and else by files; None when the whole is not known."""
    for unit in ("bytes", "files"):
        done, total = (progress or {}).get(f"{unit}_done"), (progress or {}).get(f"{unit}_total")
        if isinstance(done, int) and isinstance(total, int) and total > 0:
            return max(0, min(100, done * 100 // total))
    return None
