"""From a wish to upgrade to a course: which services, to what, with which snapshot first.

Reads rows and decides; changes nothing but the reservation of the group's services. Everything that can
make an upgrade impossible is found here, before the first effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from domain.changeset import Effect, ServicePlan
from domain.configuration import Configuration
from domain.context import Context
from domain.course import Course, Health, Task
from domain.errors import NotFound, Refused
from domain.formats import configuration_from, target_of
from domain.identity import derived_id
from domain.kind import Facts
from domain.planning import effect_of, plan_upgrade
from domain.region import Place
from domain.service import Service


@dataclass(frozen=True, slots=True)
class Wish:
    """What an `upgrade-service` asks for."""

    version: str
    group_key: str | None = None
    group: bool = False
    services: tuple[str, ...] | None = None
    include_data: bool = False
    strict: bool = False
    whole: bool = False
    delete: bool = False
    ignore_hold: bool = False
    plugins: Mapping[str, str] = field(default_factory=dict)
    deploy_seconds: float = 1800.0
    health: Health = field(default_factory=Health)


def upgrade_course(context: Context, wish: Wish) -> Course:
    """Reserve the services and plan; Refused or NotFound say why there is nothing to carry out."""
    services = _chosen(context, wish)
    if len(services) > 1:
        context.journal.reserve([service.service_id for service in services])
        services = [context.service(service.service_id) for service in services]
    # A provider may gain the port or volume that another member needs by this very upgrade.
    coming = {service.service_id: Configuration.load(plan_of(context, wish, service).after) for service in services}
    tasks = tuple(_task(context, wish, service, coming) for service in services)
    return Course(
        "upgrade",
        tasks,
        strict=wish.strict,
        whole=wish.whole,
        deploy_seconds=wish.deploy_seconds,
        health=wish.health,
    )


def plan_of(
    context: Context, wish: Wish, service: Service, coming: Mapping[str, Configuration] | None = None
) -> ServicePlan:
    """The change set of one service; `coming`: what its siblings will be by the same upgrade."""
    installed = configuration_of(service)
    group_key = wish.group_key or str(installed.origin.get("group_key") or "")
    template = context.versions.get(service.tenant_id, group_key, wish.version)
    if template is None:
        raise NotFound(
            f"there is no version {wish.version} of {group_key or 'an unnamed application'}",
            code="version-not-found",
            next_step="publish it with publish-version; `backstay versions list` shows what there is",
        )
    origin = dict(installed.origin) | {"group_key": group_key, "version": wish.version}
    target = target_of(template, origin | {"service_id": service.service_id, "alias": service.alias})
    facts = facts_of(context, service, wish.plugins, delete=wish.delete)
    facts = replace(facts, providers={**facts.providers, **(coming or {})})
    return plan_upgrade(service.service_id, installed, target, facts)


def facts_of(context: Context, service: Service, plugins: Mapping[str, str], *, delete: bool) -> Facts:
    """What planning may know of the service's surroundings."""
    siblings = [service]
    if service.group_id:
        siblings = context.services.in_group(service.tenant_id, service.group_id)
    configurations = {found.service_id: configuration_of(found) for found in siblings}
    known: dict[str, str] = {}
    for service_id, configuration in configurations.items():
        for name in ("service_key", "share_uuid"):
            if configuration.origin.get(name):
                known[str(configuration.origin[name])] = service_id
    team = {str(k): str(v) for c in configurations.values() for k, v in dict(c.origin.get("plugins") or {}).items()}
    return Facts(
        service_id=service.service_id,
        alias=service.alias,
        installed=known,
        siblings=frozenset(configurations),
        plugins=team | dict(plugins),
        providers=configurations,
        aliases={found.service_id: found.alias for found in siblings},
        delete=delete,
    )


def configuration_of(service: Service) -> Configuration:
    """The service's configuration, also when it was kept before there was a canonical form."""
    document: dict[str, Any] = service.document
    return configuration_from(document) if document and "schema" not in document else Configuration.load(document)


def place_of(service: Service) -> Place:
    """Where the region finds it; Refused for a service that has no region."""
    if service.region is None:
        raise Refused(
            f"service {service.service_id} is registered without a region",
            code="no-region",
            next_step="register it again with the region that runs it",
        )
    return Place(service.region, service.tenant_id, service.service_id, service.alias)


def _chosen(context: Context, wish: Wish) -> list[Service]:
    """The subject alone, its whole group, or the named members of its group."""
    subject = context.service()
    if not wish.group and wish.services is None:
        return [subject]
    if not subject.group_id:
        raise Refused(f"service {subject.service_id} belongs to no group", code="no-group")
    members = {found.service_id: found for found in context.services.in_group(subject.tenant_id, subject.group_id)}
    if wish.services is None:
        return _installed_from(members, wish, configuration_of(subject))
    if unknown := [name for name in wish.services if name not in members]:
        raise NotFound(f"group {subject.group_id} has no service {unknown[0]}", code="unknown-service")
    return [members[name] for name in dict.fromkeys(wish.services)]


def _installed_from(members: Mapping[str, Service], wish: Wish, subject: Configuration) -> list[Service]:
    wanted = wish.group_key or subject.origin.get("group_key")
    return [found for found in members.values() if configuration_of(found).origin.get("group_key") == wanted]


def _task(context: Context, wish: Wish, service: Service, coming: Mapping[str, Configuration]) -> Task:
    place = place_of(service)
    _refuse_held(context, wish, service)
    plan = plan_of(context, wish, service, coming)
    effect = effect_of(plan)
    changed = bool(plan.changes)
    if changed and wish.include_data and service.node not in (None, context.node):
        raise Refused(
            f"the directory of service {service.service_id} is on node {service.node}, not on {context.node}",
            code="data-elsewhere",
            next_step="upgrade the services of each node by themselves, or without include_data",
        )
    return Task(
        plan=plan,
        place=place,
        effect=effect if changed else Effect.NOTHING,
        protect=derived_id(context.operation.op_id, f"protect/{service.service_id}") if changed else None,
        protect_data=changed and wish.include_data,
        old_version=str(plan.before.get("origin", {}).get("version") or ""),
        new_version=wish.version,
    )


def _refuse_held(context: Context, wish: Wish, service: Service) -> None:
    group_key = wish.group_key or str(configuration_of(service).origin.get("group_key") or "")
    for held_key, version, reason in context.records.held(service.service_id):
        if (held_key, version) == (group_key, wish.version) and not wish.ignore_hold:
            raise Refused(
                f"version {wish.version} is held for service {service.service_id}: {reason or 'it was rolled back'}",
                code="version-held",
                next_step='release it with hold-version {"hold": false}, or upgrade with "ignore_hold": true',
            )
