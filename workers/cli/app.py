"""The tree of commands, put together in one place.

Apart from `__main__` so that tests can run it in their own process. Importing this imports no database,
broker or model library; each command imports what it needs when it runs.
"""

from __future__ import annotations

import typer

from workers.cli import (
    catalogue,
    config,
    dead_letters,
    demo,
    doctor,
    explaining,
    importing,
    keys,
    messages,
    node,
    plan,
    publish,
    records,
    replicas,
    retention,
    services,
    versions,
)


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Snapshots of services, and their restoration, driven by messages. `backstay demo` shows it.",
    )
    for command in (node.serve, node.worker, node.web, node.migrate, publish.publish):
        app.command()(command)
    # A module that adds commands to another's group stands for that one.
    names = {explaining: "operations", importing: "snapshots", records: "snapshots"}
    modules = (
        *(explaining, dead_letters, importing, records, retention),
        *(catalogue, services, versions, plan, keys, config),
    )
    groups = {names.get(module) or module.__name__.rpartition(".")[2]: module.group for module in modules}
    for name, group in groups.items():
        app.add_typer(group, name=name.replace("_", "-"))
    for question in (doctor.doctor, replicas.replicas, messages.messages, demo.demo):
        app.command()(question)
    return app
