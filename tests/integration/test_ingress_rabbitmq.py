"""What only RabbitMQ can bring: properties that no client can read, bodies in odd encodings, a broker that restarts."""

from __future__ import annotations

import calendar
import json
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kombu import Producer

from domain.contracts import Rejected
from domain.errors import BrokerUnavailable, Refused
from tests.fakes.door import FakeDoor
from tests.integration.commands import command
from tests.servers.rabbitmq import RabbitServer
from tests.waiting import eventually
from workers.border import Publisher, connect
from workers.ingress import Ingress

on_rabbitmq = pytest.mark.parametrize("border_url", ["amqp"], indirect=True)


@on_rabbitmq
def test_a_header_with_an_impossible_time_costs_its_message_nothing_but_the_headers(
    border_url: str, intake: Ingress, door: FakeDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publisher that writes milliseconds where seconds belong would otherwise stop intake for everybody."""
    with connect(border_url) as connection:
        producer = Producer(connection.channel())

        def publish(message_id: str, **headers: Any) -> None:
            body = json.dumps(command(message_id)).encode()
            producer.publish(body, exchange="backstay", routing_key="x", headers=headers, content_encoding="binary")

        publish("before")
        with monkeypatch.context() as patch:
            patch.setattr(calendar, "timegm", lambda _: 1_795_165_200_000)
            publish("milliseconds", sent=datetime.now(UTC))
        publish("after")
    eventually(lambda: len(door.ids()) == 3, what="all three are accepted")
    assert door.ids() == ["before", "milliseconds", "after"]


@on_rabbitmq
@pytest.mark.parametrize("encoding", ["utf-7", "utf-16", "unicode_escape", "gzip", "no such encoding"])
def test_a_body_is_taken_as_it_is_whatever_encoding_its_publisher_claims(
    border_url: str, intake: Ingress, door: FakeDoor, encoding: str
) -> None:
    """py-amqp would decode it, and hand over text that is no text."""
    body = b"+2AA- \\ud800 \xff"
    with connect(border_url) as connection:
        producer = Producer(connection.channel())
        producer.publish(body, exchange="backstay", routing_key="x", content_encoding=encoding, content_type="x/y")
    eventually(door.items, what="it arrives")
    (item,) = door.items()
    assert isinstance(item, Rejected) and item.raw == body


@on_rabbitmq
def test_intake_and_publisher_find_a_broker_again_that_has_restarted(
    border_url: str, intake: Ingress, door: FakeDoor, rabbitmq_server: RabbitServer
) -> None:
    publisher = Publisher(border_url, seconds=240)
    publisher.command(command("before"))
    eventually(lambda: door.ids() == ["before"], what="the first is accepted")
    rabbitmq_server.stop()
    eventually(lambda: not intake.connected(), what="intake notices")
    publishing = threading.Thread(target=publisher.command, args=(command("during"),))
    publishing.start()  # a server started by a thread would end with it
    rabbitmq_server.start()
    publishing.join()
    eventually(lambda: "during" in door.ids(), what="intake is back")
    publisher.close()


# ---------------------------------------------------------------- TLS, against a server of our own making
def _certificate(folder: Path, host: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{host}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


class Impostor:
    """Answers TLS with a certificate, and tells what the client made of it and sent."""

    def __init__(self, certificate: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.received: list[bytes] = []
        self.greeted = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(plain, server_side=True) as secure:
                    secure.settimeout(5)
                    self.received.append(secure.recv(100))
            except OSError:
                self.received.append(b"")
            self.greeted.set()

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("scheme", ["amqps", "redisstreams"])
@pytest.mark.parametrize("host", ["localhost", "other.example"])
def test_only_a_certificate_for_the_broker_s_own_name_is_trusted_with_the_password(
    scheme: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = _certificate(tmp_path, host)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # trusted, so that only the name decides
    impostor = Impostor(certificate)
    publisher = Publisher(f"{scheme}://user:pa55word@localhost:{impostor.port}/0", seconds=0)
    with pytest.raises(BrokerUnavailable) as unavailable:
        publisher.command(command("m-1"))
    assert impostor.greeted.wait(60)
    impostor.close()
    spoken = any(impostor.received)
    assert spoken == (host == "localhost")
    assert "pa55word" not in str(unavailable.value)


@pytest.mark.parametrize("url", ["amqp://user:pa#55word@host/", "redisstream://h:6379/not-a-number", "amqp://h:p0rt/"])
def test_a_url_that_cannot_be_read_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(Refused) as refused:
        connect(url)
    assert "55word" not in str(refused.value) and "BROKER_URL" in str(refused.value)
