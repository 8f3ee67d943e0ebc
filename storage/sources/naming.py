"""What the node's configuration may leave open: whose data it is."""

from __future__ import annotations

from collections.abc import Sequence

from domain.service import Service


def filled(text: str, service: Service, directory: str) -> str:
    """The text with `{service}`, `{tenant}` and `{directory}` replaced; other braces stay."""
    for name, value in (("service", service.service_id), ("tenant", service.tenant_id), ("directory", directory)):
        text = text.replace("{" + name + "}", value)
    return text


def program_of(words: Sequence[str], service: Service, directory: str) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of a program of the configuration."""
    environment = {
        "BACKSTAY_SERVICE": service.service_id,
        "BACKSTAY_TENANT": service.tenant_id,
        "BACKSTAY_DIRECTORY": directory,
    }
    return [filled(word, service, directory) for word in words], environment
