"""What a snapshot keeps of a service besides its files: named sections under one version.

Apart from `configuration`, which is the content of one section. Everything that JSON can say is saved; a restore
takes back only what the list of that version names, so that what was saved for people to look at changes nothing.
A version that is not known is refused before anything is changed. Values may be secret: never print them.

    {"version": 1, "sections": {"service": {"alias": "shop", …}, "configuration": {"schema": 1, …}}, "omitted": []}
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from domain.configuration import Configuration
from domain.errors import Refused
from domain.service import Service

#: The version that this program writes.
VERSION = 1

#: What a restore takes back, by version and section.
WHITE_LISTS: dict[int, dict[str, tuple[str, ...]]] = {
    1: {"service": ("alias",), "configuration": ("schema", "origin", "items", "rest")},
}

#: Fields of the record that the section `service` leaves out: the document is a section of its own, and a count of
#: changes would make two snapshots of the same state differ.
_ELSEWHERE = ("document", "generation")


@dataclasses.dataclass(frozen=True, slots=True)
class Contents:
    """What a restore may take back. None: the snapshot does not have it, and the target keeps its own."""

    alias: str | None = None
    document: dict[str, Any] | None = dataclasses.field(default=None, repr=False)


def pack(service: Service, document: Mapping[str, Any]) -> dict[str, Any]:
    """The container of a service with that configuration document. A record without data has no section."""
    record = {
        item.name: getattr(service, item.name)
        for item in dataclasses.fields(service)
        if item.name not in _ELSEWHERE and getattr(service, item.name) not in (None, {}, ())
    }
    sections, omitted = {}, []
    for name, values in (("service", record), ("configuration", document)):
        kept = {key: value for key, value in values.items() if _has_json(value)}
        omitted += [f"{name}.{key}" for key in values if key not in kept]
        if kept or name == "configuration":  # that a service has no configuration is a state to go back to
            sections[name] = kept
    return {"version": VERSION, "sections": sections, "omitted": omitted}


def omitted(container: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Names of the values that could not be saved."""
    return tuple(map(str, (container or {}).get("omitted", ())))


def unpack(container: Mapping[str, Any]) -> Contents:
    """What its version allows to be taken back; Refused for one that is not known or not readable.

    Without sections it is a bare document, as snapshots held it before there were containers.
    """
    if "sections" not in container:
        return Contents(document=_document(container, WHITE_LISTS[1]["configuration"]))
    version, sections = container.get("version"), container["sections"]
    if type(version) is not int or version not in WHITE_LISTS:
        newer = type(version) is int and version > VERSION
        raise Refused(
            f"the configuration in the snapshot has version {str(version)[:20]!r}; this program reads "
            f"{', '.join(map(str, WHITE_LISTS))}",
            code="configuration-too-new" if newer else "configuration-unreadable",
            next_step="use a newer Backstay, or restore only the data",
        )
    allowed = WHITE_LISTS[version]
    service = _section(sections, "service")
    configuration = _section(sections, "configuration") if "configuration" in sections else None
    alias = service.get("alias") if "alias" in allowed["service"] else None
    return Contents(
        alias=alias if isinstance(alias, str) and alias else None,
        document=_document(configuration, allowed["configuration"]) if configuration is not None else None,
    )


def applied(service: Service, contents: Contents) -> Service:
    """The record with what is taken back. A name that somebody has given stays, as does the one by which a region
    knows the service; one that only stands for the id goes."""
    document = service.document if contents.document is None else contents.document
    unnamed = service.region is None and service.alias in ("", service.service_id)
    alias = contents.alias if unnamed and contents.alias is not None else service.alias
    return dataclasses.replace(service, alias=alias, document=document)


def _document(document: Mapping[str, Any], allowed: tuple[str, ...]) -> dict[str, Any]:
    if "schema" not in document:
        return dict(document)  # from before there was a canonical form: `configuration_of` reads it when it is used
    schema = document["schema"]
    if type(schema) is not int or not isinstance(document.get("items"), dict):
        raise _unreadable("configuration")
    if not isinstance(document.get("origin"), dict) or not isinstance(document.get("rest", {}), dict):
        raise _unreadable("configuration")
    Configuration.load(document)
    return {name: document[name] for name in allowed if name in document}


def _section(sections: Any, name: str) -> Mapping[str, Any]:
    found = sections.get(name, {}) if isinstance(sections, dict) else None
    if not isinstance(found, dict):
        raise _unreadable(name)
    return found


def _unreadable(section: str) -> Refused:
    return Refused(
        f"the section {section} in the snapshot is not what its version says",
        code="configuration-unreadable",
        next_step="restore only the data, or another snapshot",
    )


def _has_json(value: Any) -> bool:
    """Only a type without a JSON form is left out; anything else that fails is a bug and says so."""
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True
