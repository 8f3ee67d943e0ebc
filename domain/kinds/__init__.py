"""The kinds of configuration items: one file each, with its rule for upgrades and its calls.

Adding a kind is adding a file that defines `kind`, and its line here: importing looks into no folder.
"""

from __future__ import annotations

from domain.kind import Kind
from domain.kinds import (
    config_file,
    connect_info,
    dependency,
    env,
    image,
    mount,
    plugin,
    port,
    probe,
    resources,
    slug,
    volume,
)

#: By name, in the order in which a service's items are changed.
KINDS: dict[str, Kind] = {
    module.__name__.rpartition(".")[2]: module.kind
    for module in (
        image,
        slug,
        resources,
        env,
        connect_info,
        port,
        volume,
        config_file,
        probe,
        dependency,
        mount,
        plugin,
    )
}

#: Kinds that share their names with an earlier one: of both only one item can have a name, in the console and in the
#: region.
SHARED_NAMES = {"connect_info": "env", "config_file": "volume"}
