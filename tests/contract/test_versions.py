"""The port `Versions` and the groups of `Services`: what is published, for whom, and what is installed together."""

from __future__ import annotations

import pytest

from domain.outcome import SaveService, SaveVersion
from domain.service import Service
from tests.contract.sql_bench import Bench


def _published(bench: Bench, tenant: str, group_key: str, version: str) -> None:
    bench.make(SaveVersion(tenant, group_key, version, {"by": tenant, "version": version}))
    bench.now += 1


def test_a_published_version_is_read_as_it_was_given(bench: Bench) -> None:
    template = {"services": [{"image": "goodrain.me/web:2", "password": "né\ud800"}], "n": 1}
    bench.make(SaveVersion("acme", "shop", "2.0", template))
    assert bench.database.versions.get("acme", "shop", "2.0") == template


@pytest.mark.parametrize("asked", [("acme", "shop", "3.0"), ("acme", "wiki", "2.0"), ("other", "shop", "2.0")])
def test_a_version_that_the_tenant_cannot_see_is_none(bench: Bench, asked: tuple[str, str, str]) -> None:
    _published(bench, "acme", "shop", "2.0")
    assert bench.database.versions.get(*asked) is None


def test_a_public_version_is_seen_by_all(bench: Bench) -> None:
    _published(bench, "public", "shop", "2.0")
    assert bench.database.versions.get("acme", "shop", "2.0") == {"by": "public", "version": "2.0"}


@pytest.mark.parametrize("order", [["acme", "public"], ["public", "acme"]])
def test_the_tenants_own_version_wins_over_a_public_one(bench: Bench, order: list[str]) -> None:
    for tenant in order:
        _published(bench, tenant, "shop", "2.0")
    assert bench.database.versions.get("acme", "shop", "2.0") == {"by": "acme", "version": "2.0"}
    assert bench.database.versions.get("other", "shop", "2.0") == {"by": "public", "version": "2.0"}


def test_publishing_again_replaces(bench: Bench) -> None:
    _published(bench, "acme", "shop", "2.0")
    bench.make(SaveVersion("acme", "shop", "2.0", {"again": True}))
    assert bench.database.versions.get("acme", "shop", "2.0") == {"again": True}
    assert bench.database.versions.list("acme") == [("acme", "shop", "2.0", bench.now)]


def test_a_list_holds_what_the_tenant_sees_newest_first(bench: Bench) -> None:
    began = bench.now
    for tenant, group_key, version in [
        ("acme", "shop", "1.0"),
        ("public", "wiki", "7"),
        ("other", "shop", "1.0"),
        ("acme", "shop", "0.9"),
    ]:
        _published(bench, tenant, group_key, version)
    assert bench.database.versions.list("acme") == [
        ("acme", "shop", "0.9", began + 3),
        ("public", "wiki", "7", began + 1),
        ("acme", "shop", "1.0", began),
    ]
    assert bench.database.versions.list("acme", "wiki") == [("public", "wiki", "7", began + 1)]
    assert bench.database.versions.list("acme", "none") == []


# ---------------------------------------------------------------- groups
def _installed(bench: Bench, service_id: str, group_id: str | None, tenant: str = "acme") -> Service:
    record = Service(
        service_id, tenant, service_id, service_id, group_id=group_id, share_uuid=f"u-{service_id}", document={"n": 1}
    )
    bench.succeed(bench.running(service_id, tenant=tenant), SaveService(record))
    return record


def test_a_service_keeps_its_group_and_what_it_is_in_the_template(bench: Bench) -> None:
    record = _installed(bench, "web", "shop-1")
    assert bench.database.services.get("web") == record


def test_a_group_has_its_services_by_id_with_their_documents(bench: Bench) -> None:
    web, db = _installed(bench, "web", "shop-1"), _installed(bench, "db", "shop-1")
    _installed(bench, "else", "shop-2")
    _installed(bench, "alone", None)
    _installed(bench, "foreign", "shop-1", tenant="mallory")
    assert bench.database.services.in_group("acme", "shop-1") == [db, web]
    assert bench.database.services.in_group("acme", "shop-9") == []


def test_a_service_that_leaves_its_group_is_no_longer_in_it(bench: Bench) -> None:
    _installed(bench, "web", "shop-1")
    _installed(bench, "web", None)
    assert bench.database.services.in_group("acme", "shop-1") == []
