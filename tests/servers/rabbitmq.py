"""RabbitMQ, in the foreground, with a port mapper of its own.

Apart from the other servers because Erlang leaves a daemon (epmd) behind unless it finds one running. The queues
and exchanges of the product are deleted between tests rather than the node restarted, which takes ten seconds.
"""

from __future__ import annotations

from pathlib import Path

from kombu import Connection

from tests.servers.ports import LOOPBACK, free_ports
from tests.servers.process import Process
from tests.servers.server import Server

# /usr/sbin/rabbitmq-server changes to the user rabbitmq; this one runs as whoever we are.
RABBITMQ_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

CONFIGURATION = """\
listeners.tcp.1 = {address}:{port}
loopback_users.guest = true
vm_memory_high_watermark.absolute = 512MiB
disk_free_limit.absolute = 50MB
log.console = false
"""

#: What the product declares on a broker.
QUEUES = ("backstay.inbox",)
EXCHANGES = ("backstay", "backstay.events")


class RabbitServer(Server):
    """One node without plugins, user guest."""

    name = "rabbitmq"

    def __init__(self) -> None:
        super().__init__()
        self.port, self._mapper_port, self._distribution_port = free_ports(3)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}//"

    def prepare(self) -> None:
        configuration = self.directory / "rabbitmq.conf"
        configuration.write_text(CONFIGURATION.format(address=LOOPBACK, port=self.port))
        (self.directory / "enabled_plugins").write_text("[].\n")
        mapper = ["epmd", "-port", str(self._mapper_port), "-address", LOOPBACK]
        self._mapper = Process(mapper, self.directory / "epmd.log")
        self.front = Process(
            [RABBITMQ_SERVER], self.directory / "rabbitmq.log", environment=self._environment(configuration)
        )

    def launch(self) -> None:
        self._mapper.start()
        self.front.start()
        self.front.wait_until(self._answers, 180, "rabbitmq-server opens a connection")

    def stop(self) -> None:
        super().stop()
        if self._prepared:
            self._mapper.stop()

    def empty(self) -> None:
        """Delete the product's queues and exchanges, so that the next test declares them anew."""
        with Connection(self.url, connect_timeout=10) as connection:
            channel = connection.channel()
            for queue in QUEUES:
                channel.queue_delete(queue)
            for exchange in EXCHANGES:
                channel.exchange_delete(exchange)

    def _environment(self, configuration: Path) -> dict[str, str]:
        ours = {
            "NODENAME": f"backstay{self.port}@localhost",
            "DIST_PORT": str(self._distribution_port),
            "MNESIA_BASE": str(self.directory / "mnesia"),
            "LOG_BASE": str(self.directory / "log"),
            "CONFIG_FILE": str(configuration.with_suffix("")),
            "ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "PID_FILE": str(self.directory / "rabbitmq.pid"),
            "CONF_ENV_FILE": str(self.directory / "none"),
            "SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"
            f" +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -setcookie backstay{self.port}",
        }
        return {
            **{f"RABBITMQ_{name}": value for name, value in ours.items()},
            "HOME": str(self.directory),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            # The start script then becomes the Erlang machine instead of watching it: our signals reach the node.
            "detached": "yes",
        }

    def _answers(self) -> bool:
        with Connection(self.url, connect_timeout=5) as connection:
            try:
                connection.connect()
            except connection.connection_errors:  # not listening yet, or still booting
                return False
            return True
