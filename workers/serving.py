"""What a process serves over HTTP: the server that fits it, and the addresses of archives.

Apart from the process, which may have none, and from `workers/web`, which is imported only when something is served:
a worker without HTTP carries no web framework.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from workers.bootstrap import System
from workers.clock import SystemClock
from workers.health import Health
from workers.metrics import Metrics

if TYPE_CHECKING:
    from workers.web.downloads import Downloads
    from workers.web.server import HttpServer


def server_of(
    system: System, health: Health, metrics: Metrics, http: str, wake: Callable[[], None] | None
) -> HttpServer:
    """Bound, not started. Without `wake`, for a worker, there is no API: `web` and `serve` have it."""
    import handlers
    from workers.web.app import build_app
    from workers.web.desk import Desk
    from workers.web.server import HttpServer

    desk = None if wake is None else Desk(system, SystemClock(), wake, handlers.subscriptions())
    return HttpServer(build_app(health, metrics.render, downloads_of(system), desk), http)


def downloads_of(system: System) -> Downloads:
    """Addresses of archives, signed with the key ring."""
    from workers.web.downloads import Downloads

    return Downloads(system.database.catalogue, system.store, SystemClock(), system.keyring.fingerprint)
