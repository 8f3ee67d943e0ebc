"""How the region's client proves who it is and how long it waits, against a server that speaks real TLS."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from domain.region import Call, Place, Trouble
from workers.clock import SystemClock
from workers.region_client import HttpRegion
from workers.regions import RegionSettings

PLACE = Place("r", "tenant", "svc", "web")
ASK = Call("status", "GET", "/status")
OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{"bean":{"state":"ok"}} '


class Authority:
    """Makes certificates that the test trusts."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.ca = self._write("ca", self._sign(self._name, self._key.public_key(), authority=True), None)[0]

    def issue(self, name: str) -> tuple[str, str]:
        """Files of a certificate for 127.0.0.1 and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._write(name, self._sign(subject, key.public_key(), authority=False), key)

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        usage = x509.KeyUsage(True, False, False, False, False, authority, authority, False, False)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False)
            .sign(self._key, hashes.SHA256())
        )

    def _write(
        self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None
    ) -> tuple[str, str]:
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        if key is not None:
            none = serialization.NoEncryption()
            form = serialization.PrivateFormat.PKCS8
            files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, none))
        return str(files[0]), str(files[1])


class Server:
    """Takes connections one after the other and lets `answer` do what it wants with them; remembers requests."""

    def __init__(self, answer: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._answer, self._tls = answer, tls
        self.requests: list[str] = []
        self.clients: list[str] = []
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            connection.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            try:
                if self._tls is not None:
                    secure = self._tls.wrap_socket(connection, server_side=True)
                    connection = secure
                    shown = secure.getpeercert() or {}
                    self.clients.append(str(shown.get("subject", "")))
                self._open.append(connection)
                self.requests.append(connection.recv(65536).decode("latin-1"))
                self._answer(connection)
            except OSError:
                connection.close()


def in_full(connection: socket.socket) -> None:
    connection.sendall(OK)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(answer: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(answer, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def ask(url: str, **settings: object) -> tuple[int, Trouble | None, str, float | None]:
    client = HttpRegion({"r": RegionSettings("r", url, **({"call_seconds": 30.0} | settings))}, SystemClock())  # type: ignore[arg-type]
    try:
        reply = client.send(PLACE, ASK, 1)
        return reply.status, reply.trouble, reply.message, reply.retry_after
    finally:
        client.close()


def tls_of(authority: Authority, *, name: str = "region") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(name))
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_we_show_our_certificate_to_a_region_that_we_can_verify(serve: Callable[..., Server], tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = serve(in_full, tls_of(authority))
    cert, key = authority.issue("backstay-node")
    assert ask(server.url, ca_file=authority.ca, cert_file=cert, key_file=key)[:2] == (200, None)
    assert "backstay-node" in server.clients[0]


def test_a_region_with_another_authority_never_sees_the_call(serve: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    server = serve(in_full, tls_of(Authority(tmp_path / "theirs")))
    ours = Authority(tmp_path / "ours")
    status, trouble, message, _ = ask(server.url, ca_file=ours.ca, token="token-canary")
    assert (status, trouble) == (0, Trouble.NOT_SENT)
    assert "TLS failed" in message
    assert server.requests == []


def test_without_our_certificate_the_region_refuses_us_and_nothing_is_believed(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    server = serve(in_full, tls_of(authority))
    status, trouble, _, _ = ask(server.url, ca_file=authority.ca)
    assert status == 0
    assert trouble in (Trouble.NOT_SENT, Trouble.CUT)
    assert server.requests == []


def test_the_token_is_the_whole_header(serve: Callable[..., Server]) -> None:
    server = serve(in_full)
    assert ask(server.url, token="Token abc.def")[0] == 200
    assert "\r\nAuthorization: Token abc.def\r\n" in server.requests[0]


def test_a_reply_that_trickles_is_cut_when_the_whole_call_has_had_its_time(serve: Callable[..., Server]) -> None:
    """A time-out of sockets begins again with each byte; the call would outlast the lease."""
    enough = threading.Event()

    def trickle(connection: socket.socket) -> None:
        for byte in OK:
            if enough.wait(0.2):
                return
            connection.sendall(bytes([byte]))

    server = serve(trickle)
    status, trouble, message, _ = ask(server.url, call_seconds=0.5, connect_seconds=0.5)
    enough.set()
    assert (status, trouble) == (0, Trouble.CUT)
    assert message


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("7", 7.0, 7.0),
        ("in an hour", 3000, 3601),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0, 0.0),
    ],
    ids=["seconds", "a date to come", "a date long past"],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    serve: Callable[..., Server], value: str, least: float, most: float
) -> None:
    if value == "in an hour":
        value = format_datetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1), usegmt=True)
    text = f"HTTP/1.1 503 Busy\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n"
    server = serve(lambda connection: connection.sendall(text.encode()))
    status, trouble, _, seconds = ask(server.url)
    assert (status, trouble) == (503, None)
    assert seconds is not None and least <= seconds <= most


def test_a_retry_after_that_nobody_can_read_is_none(serve: Callable[..., Server]) -> None:
    text = "HTTP/1.1 503 Busy\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n"
    server = serve(lambda connection: connection.sendall(text.encode()))
    assert ask(server.url)[3] is None
