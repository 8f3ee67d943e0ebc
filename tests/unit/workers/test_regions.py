"""What a node may be told about its regions; every mistake is named at once and no value is quoted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workers.regions import parse_regions

URL = "https://region.example:8443/api"


def test_a_region_of_one_line_has_the_documented_waits() -> None:
    region = parse_regions(json.dumps({"eu-1": {"url": URL}}))["eu-1"]
    assert (region.connect_seconds, region.call_seconds, region.settle_seconds, region.fenced) == (
        5.0,
        10.0,
        45.0,
        False,
    )


def test_a_tenant_that_is_not_mapped_has_its_own_name_in_the_region() -> None:
    region = parse_regions({"eu-1": {"url": URL, "tenants": {"acme": {"name": "north"}}}})["eu-1"]
    assert (region.tenant_name("acme"), region.tenant_key("acme")) == ("north", "acme")
    assert (region.tenant_name("other"), region.tenant_key("other")) == ("other", "other")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "eu-1.url: must be http"),
        ({"url": "ftp://region"}, "eu-1.url: must be http"),
        ({"url": "https://user:word@region"}, "eu-1.url: must be http"),
        ({"url": "http://region:0"}, "eu-1.url: must be http"),
        ({"url": URL, "color": 1}, "eu-1.color: is no setting"),
        ({"url": URL, "token": "a\nb"}, "eu-1.token: must be text"),
        ({"url": URL, "call_seconds": 0}, "eu-1.call_seconds: must be a number of seconds above 0"),
        ({"url": URL, "call_seconds": True}, "eu-1.call_seconds"),
        ({"url": URL, "fenced": "yes"}, "eu-1.fenced: must be true or false"),
        ({"url": URL, "cert_file": __file__}, "cert_file and key_file: set both or none"),
        ({"url": URL, "ca_file": "/no/such/file"}, "eu-1.ca_file: there is no such file"),
        ({"url": URL, "tenants": {"acme": {"alias": "x"}}}, "eu-1.tenants.acme: must have name, id or both"),
        ("https://region", "eu-1 must be an object"),
    ],
)
def test_a_mistake_is_named_by_region_and_setting(table: Any, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_regions({"eu-1": table})
    assert said in str(caught.value)


def test_all_mistakes_are_told_at_once_and_no_token_is_repeated() -> None:
    secret = "canary-token\n"
    with pytest.raises(ValueError, match=r".") as caught:
        parse_regions({"a": {"url": URL, "token": secret}, "b": {"url": URL, "fenced": 1}})
    assert "a.token" in str(caught.value) and "b.fenced" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_text_that_is_not_json_is_refused_by_its_place() -> None:
    with pytest.raises(ValueError, match="line 1, column"):
        parse_regions('{"eu-1": canary}')


def test_a_certificate_and_its_key_are_taken_together(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("x")
    files = {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
    assert parse_regions({"eu-1": {"url": URL, **files}})["eu-1"].cert_file == files["cert_file"]
