"""Foreign and own documents of configurations, told apart by their shape and read into one form.

Apart from the handlers because imports, restores and the command line need the same reading. Nothing here
changes what it is given, and no error quotes a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.configuration import SCHEMA, Configuration
from domain.errors import InvalidMessage
from domain.formats import native, rainbond_details, rainbond_template


def configuration_from(document: Any) -> Configuration:
    """Read service details, a stored backup (an object, or a list that begins with it), our own canonical
    document, or our plain form. InvalidMessage names the path of what cannot be read."""
    plugins: Any = None
    if isinstance(document, list):
        if not document:
            raise InvalidMessage("configuration is an empty list", field="configuration")
        document, *more = document
        plugins = more[0] if more else None
    if not isinstance(document, Mapping):
        raise InvalidMessage("configuration must be an object", field="configuration")
    if "service_base" in document:
        return rainbond_details.read(document, plugins)
    if "schema" in document and "items" in document:
        if document["schema"] != SCHEMA:
            raise InvalidMessage(f"configuration.schema must be {SCHEMA}", field="configuration.schema")
        return Configuration.load(document)
    return native.read(document)


def details_from(configuration: Configuration) -> dict[str, Any]:
    """Service details again, with everything that the imported ones had."""
    return rainbond_details.write(configuration)


def check_template(template: Mapping[str, Any]) -> None:
    """InvalidMessage unless it is a version's template, in either form."""
    if "services" in template and "apps" not in template:
        for name, service in _object(template["services"], "template.services").items():
            native.read(_object(service, f"template.services.{name}"), f"template.services.{name}")
        return
    rainbond_template.check(template)


def target_of(template: Mapping[str, Any], origin: Mapping[str, Any]) -> Configuration:
    """What the template wants a service of that origin to be; NotFound(code="component-not-in-version")."""
    if "services" in template and "apps" not in template:
        return native.target(template["services"], origin)
    return rainbond_template.target(template, origin)


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidMessage(f"{path} must be an object", field=path)
    return value
