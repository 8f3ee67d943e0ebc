"""Every secret that this installation knows, and texts without them.

Apart from what is put into a bundle, because that already holds no secret by its making: this is the second lock,
for a password that somebody's program printed into an outcome, or an address that carries one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote, unquote_plus, urlsplit

from workers.config import Settings

MASK = "********"
#: Shorter ones would blacken whole texts, and could be guessed anyway.
SHORTEST = 6
#: Parts of names whose values are secret wherever they stand.
_TELLING = ("password", "secret", "token", "credential", "private_key", "access_key")


def secrets_of_settings(settings: Settings, ring: str) -> set[str]:
    """Passwords in addresses, tokens of regions, and the keys of the ring, whose text is `ring`."""
    found = {part.strip() for entry in ring.split(",") for part in (entry, entry.partition(":")[2])}
    addresses = [settings.database_url, settings.broker_url, settings.store_url, *(settings.replicas or {}).values()]
    addresses += [place.url for place in (settings.places or {}).values()]
    for address in addresses:
        found |= _in_address(address)
    for region in (settings.regions or {}).values():
        found |= {region.token or "", (region.token or "").rpartition(" ")[2]} | _in_address(region.url)
    return found


def secrets_of_document(document: object) -> set[str]:
    """What a service's configuration marks as secret, or names as such, however deep it stands."""
    return set(_walk(document))


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """The text without any of them, also as they look inside JSON; longest first, as one may hold another."""
    forms = {form for secret in secrets for form in (secret, json.dumps(secret)[1:-1])}
    for form in sorted(forms, key=len, reverse=True):
        if len(form) >= SHORTEST:
            text = text.replace(form, MASK)
    return text


def _in_address(address: str) -> set[str]:
    try:
        parts = urlsplit(address)
        password = parts.password or ""
    except ValueError:
        return {address}
    fields = [field.partition("=") for field in parts.query.split("&")]
    named = {form for name, _, value in fields if _tells(unquote_plus(name)) for form in (value, unquote_plus(value))}
    return {password, unquote(password), *named}


def _walk(found: object, *, secret: bool = False) -> Iterator[str]:
    if isinstance(found, Mapping):
        marked = secret or found.get("secret") is True
        for name, value in found.items():
            yield from _walk(value, secret=(marked and name == "value") or _tells(str(name)))
    elif isinstance(found, list | tuple):
        for value in found:
            yield from _walk(value, secret=secret)
    elif secret and isinstance(found, str):
        yield found


def _tells(name: str) -> bool:
    return any(part in name.lower() for part in _TELLING)
