"""Foreign and own documents of configurations, told apart by their shape and read into one form.

Apart from the handlers because imports, restores and the command line need the same reading. Nothing here
changes what it is given, and no error quotes a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.configuration import Configuration
from domain.formats import canonical, native, rainbond_details, rainbond_export, rainbond_template
from domain.formats.shapes import fault, mapping


def configuration_from(document: Any) -> Configuration:
    """Read service details, a stored backup (an object, or a list that begins with it), our own canonical
    document, or our plain form. An empty object is an empty configuration.

    InvalidMessage names the path of what cannot be read.
    """
    if isinstance(document, list):
        first, beside = (*document, None, None)[:2]
        if not isinstance(first, Mapping) or "service_base" not in first:
            raise fault("configuration.0", "must be a service's export: a list is a backup that a console has stored")
        return rainbond_details.read(first, beside)
    found = mapping(document, "configuration")
    if any(name in found for name in ("service_base", "service_source", *rainbond_details.SECTIONS)):
        return rainbond_details.read(found)
    if "schema" in found and "items" in found:
        return canonical.read(found)
    return native.read(found)


def details_from(configuration: Configuration, tenant_id: str, service_id: str) -> dict[str, Any]:
    """Service details again: all that the imported ones had, as it is now, and what has come since."""
    return rainbond_export.write(configuration, tenant_id, service_id)


def check_template(template: Any) -> None:
    """InvalidMessage unless it is a version's template, in either form."""
    found = mapping(template, "template")
    if _is_plain(found):
        native.check_services(found)
    else:
        rainbond_template.check(found)


def target_of(template: Mapping[str, Any], origin: Mapping[str, Any]) -> Configuration:
    """What the template wants a service of that origin to be; NotFound(code="component-not-in-version").

    `origin` is that of the installed configuration, with the `service_id` and `alias` of the service.
    """
    if _is_plain(template):
        return native.target(template, origin)
    return rainbond_template.target(template, origin)


def _is_plain(template: Mapping[str, Any]) -> bool:
    return "services" in template and "apps" not in template
