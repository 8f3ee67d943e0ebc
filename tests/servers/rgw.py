"""Ceph's object gateway: real S3, with the atomic create-only PUT that the product relies on.

Apart from the other servers because it is a cluster of three: a monitor, one disk (a sparse file) and the gateway
in front. kill() and pause() mean the gateway; the monitor and the disk live until stop().
"""

from __future__ import annotations

import http.client
import shutil
import uuid
from pathlib import Path

from tests.servers.ports import LOOPBACK, free_ports
from tests.servers.process import Process, run
from tests.servers.server import Server

CONFIGURATION = """\
[global]
fsid = {cluster}
mon host = [v2:{address}:{mon_port}/0,v1:{address}:{old_mon_port}/0]
public addr = {address}
cluster addr = {address}
# cephx everywhere: without client authentication this gateway waits for ever.
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = {directory}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 2000
mon pg warn min per osd = 0
mon data avail crit = 1
osd crush chooseleaf type = 0
osd objectstore = bluestore
bluestore block size = 8589934592
bluestore block create = true
bluestore fsck on mount = false
osd memory target = 939524096
# A killed gateway still counts as a watcher of the cache until this many seconds pass; bucket changes wait for it.
osd client watch timeout = 2
run dir = {directory}/run
admin socket = {directory}/run/$name.asok
pid file = {directory}/run/$name.pid
log file = {directory}/$name.log
mon cluster log file = {directory}/cluster.log
[mon]
mon data = {directory}/mon
mon initial members = a
[osd]
osd data = {directory}/osd
keyring = {directory}/osd/keyring
[client]
# tcp_nodelay: small reads take 5 ms instead of 47.
rgw frontends = beast endpoint={address}:{port} tcp_nodelay=1
rgw thread pool size = 64
rgw enable usage log = false
rgw enable ops log = false
rgw crypt require ssl = false
rgw lc debug interval = -1
rgw gc obj min wait = 60
rgw data = {directory}/rgw
"""


class RgwServer(Server):
    """A one-disk cluster with one S3 user; buckets without limit."""

    name = "rgw"
    access_key = "testaccess"
    secret_key = "testsecret"

    def __init__(self) -> None:
        super().__init__()
        self.port, self._mon_port, self._old_mon_port = free_ports(3)
        self._configuration = self.directory / "ceph.conf"
        self._log = self.directory / "prepare.log"
        self._user_made = False

    @property
    def endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        cluster = str(uuid.uuid4())
        for part in ("mon", "osd", "run", "rgw"):
            (self.directory / part).mkdir()
        self._configuration.write_text(
            CONFIGURATION.format(
                cluster=cluster,
                address=LOOPBACK,
                port=self.port,
                mon_port=self._mon_port,
                old_mon_port=self._old_mon_port,
                directory=self.directory,
            )
        )
        self._make_monitor(cluster)
        self._monitor = self._daemon("ceph-mon", "-i", "a")
        self._monitor.start()
        disk = self._make_disk()
        self._disk = self._daemon("ceph-osd", "-i", "0", "--osd-uuid", disk)
        self.front = self._daemon("radosgw", "-n", "client.admin")

    def launch(self) -> None:
        self._monitor.start()
        self._disk.start()
        self._disk.wait_until(self._disk_is_up, 180, "the monitor sees the disk up")
        if not self._user_made:
            self._make_user()
        self.front.start()
        self.front.wait_until(self._answers, 180, "radosgw answers HTTP")

    def stop(self) -> None:
        super().stop()
        if self._prepared:
            self._disk.stop()
            self._monitor.stop()

    def close(self) -> None:
        """As every server's, but without the courtesy: nobody will read this disk again."""
        if self._prepared:
            for process in (self.front, self._disk, self._monitor):
                process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _make_monitor(self, cluster: str) -> None:
        keyring, monmap = self.directory / "keyring", self.directory / "monmap"
        addresses = f"[v2:{LOOPBACK}:{self._mon_port},v1:{LOOPBACK}:{self._old_mon_port}]"
        everything = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
        run(["monmaptool", "--create", "--fsid", cluster, "--addv", "a", addresses, monmap], self._log)
        key: list[str | Path] = ["ceph-authtool", keyring, "--gen-key"]
        run([*key, "--create-keyring", "-n", "mon.", "--cap", "mon", "allow *"], self._log)
        run([*key, "-n", "client.admin", *everything], self._log)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)

    def _make_disk(self) -> str:
        disk = str(uuid.uuid4())
        self._ceph("osd", "new", disk)
        allowed = ("mon", "allow profile osd", "mgr", "allow profile osd", "osd", "allow *")
        self._ceph("auth", "get-or-create", "osd.0", *allowed, "-o", self.directory / "osd" / "keyring")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        return disk

    def _make_user(self) -> None:
        keys = (f"--access-key={self.access_key}", f"--secret-key={self.secret_key}")
        self._run("radosgw-admin", "user", "create", "--uid=test", "--display-name=test", "--max-buckets=0", *keys)
        self._user_made = True

    def _daemon(self, program: str, *options: str) -> Process:
        return Process([program, "-f", "-c", self._configuration, *options], self.directory / f"{program}.out")

    def _run(self, program: str, *options: str | Path) -> str:
        return run([program, "-c", self._configuration, *options], self._log)

    def _ceph(self, *command: str | Path) -> str:
        return self._run("ceph", "--connect-timeout", "150", *command)

    def _disk_is_up(self) -> bool:
        return "1 up" in self._ceph("osd", "stat")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):  # not listening yet
            return False
        finally:
            connection.close()
