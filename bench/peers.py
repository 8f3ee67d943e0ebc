"""The peers: a no-op task on raw dramatiq and on raw Celery with late acknowledgement, same broker.

Run as `python -m bench.peers dramatiq|celery` with BENCH_BROKER and BENCH_COUNT: it publishes COUNT tasks,
then works them off in one process with 4 threads, and prints `published <seconds>` and `worked <seconds>`.
Each task appends one byte to BENCH_DONE, the least proof of having run that another process can read.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

URL = os.environ.get("BENCH_BROKER", "")
COUNT = int(os.environ.get("BENCH_COUNT", "0"))
DONE = os.environ.get("BENCH_DONE", "/dev/null")


def _mark() -> None:
    handle = os.open(DONE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, b".")
    os.close(handle)


def _await_all(began: float) -> float:
    while not os.path.exists(DONE) or os.path.getsize(DONE) < COUNT:
        if time.monotonic() - began > 120:
            raise SystemExit(f"only {os.path.getsize(DONE)} of {COUNT} were done")
        time.sleep(0.005)
    return time.monotonic() - began


def with_dramatiq() -> None:
    import dramatiq
    from dramatiq.brokers.rabbitmq import RabbitmqBroker
    from dramatiq.brokers.redis import RedisBroker

    broker: dramatiq.Broker
    if URL.startswith("amqp"):
        # pika reads an empty path as an empty name, not as the default virtual host.
        broker = RabbitmqBroker(url=URL.removesuffix("//") + "/%2F", confirm_delivery=True)
    else:
        broker = RedisBroker(url=URL)  # type: ignore[no-untyped-call]
    noop = dramatiq.Actor(_mark, broker=broker, actor_name="noop", queue_name="default", priority=0, options={})
    began = time.monotonic()
    for _ in range(COUNT):
        noop.send()
    print("published", time.monotonic() - began, flush=True)
    worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=100)
    began = time.monotonic()
    worker.start()
    print("worked", _await_all(began), flush=True)
    worker.stop()


def celery_app() -> object:
    from celery import Celery

    app = Celery("bench", broker=URL)
    app.conf.update(
        task_acks_late=True,
        task_ignore_result=True,
        broker_connection_retry_on_startup=True,
        worker_prefetch_multiplier=50,
        broker_transport_options={"confirm_publish": True} if URL.startswith("amqp") else {},
    )
    app.task(name="noop")(_mark)
    return app


app = celery_app() if sys.argv[0].endswith("celery") or "celery" in sys.argv[0] else None


def with_celery() -> None:
    sender = celery_app()
    began = time.monotonic()
    for _ in range(COUNT):
        sender.send_task("noop")  # type: ignore[attr-defined]
    print("published", time.monotonic() - began, flush=True)
    command = [sys.executable, "-m", "celery", "-A", "bench.peers:app", "worker", "-P", "threads", "-c", "4"]
    began = time.monotonic()
    worker = subprocess.Popen([*command, "-l", "ERROR", "--without-heartbeat", "--without-gossip", "--without-mingle"])
    while not os.path.exists(DONE):
        time.sleep(0.005)  # its start is not what is measured
    began = time.monotonic()
    print("worked", _await_all(began), flush=True)
    worker.terminate()
    worker.wait()


if __name__ == "__main__":
    {"dramatiq": with_dramatiq, "celery": with_celery}[sys.argv[1]]()
