"""The only place that reads the environment: one frozen record, each value with its origin.

Environment beats file beats default. All mistakes are reported at once, each with what to do. The file
is TOML with the same names in lower case: `$BACKSTAY_CONFIG`, else `backstay.toml` in the data directory.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from domain.audit import LONGEST_ACTOR
from domain.place import PlaceSettings
from domain.source import HookSettings, SourceSettings
from workers import embedded, limits, values
from workers.regions import RegionSettings, parse_regions
from workers.replicas import parse_policy, parse_replicas
from workers.sources import parse_hooks, parse_places, parse_sources


class ConfigError(Exception):
    """The configuration cannot be used; `problems` has one sentence per mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _setting(env: str, parse: Callable[[str], Any], about: str, *, secret: bool = False) -> Any:
    return field(metadata={"env": env, "parse": parse, "about": about, "secret": secret})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. `origins` says where each value came from."""

    data_dir: str = _setting("BACKSTAY_DATA_DIR", values.path, "where the embedded database, spool and store live")
    database_url: str = _setting(
        "DATABASE_URL", values.url("sqlite", "postgresql", "postgres"), "SQL, the queue of truth", secret=True
    )
    broker_url: str = _setting(
        "BROKER_URL",
        values.url("spool", "amqp", "amqps", "redisstream", "redisstreams"),
        "where commands arrive and events leave",
        secret=True,
    )
    store_url: str = _setting("BACKSTAY_STORE_URL", values.url("file", "s3"), "where snapshots are kept", secret=True)
    node: str = _setting("BACKSTAY_NODE", values.node, "the name of this host")
    apps_root: str = _setting("BACKSTAY_APPS_ROOT", values.path, "the directory that holds the services' directories")
    region_url: str | None = _setting(
        "BACKSTAY_REGION_URL", values.url("http", "https"), "the platform's control plane"
    )
    regions: dict[str, RegionSettings] | None = _setting(  # noqa: RUF009 - a descriptor, as all others here
        "BACKSTAY_REGIONS", parse_regions, "regions by name as JSON, or tables [regions.NAME] of the file", secret=True
    )
    sources: dict[str, SourceSettings] | None = _setting(  # noqa: RUF009
        "BACKSTAY_SOURCES",
        parse_sources,
        "data beside directories as JSON, or tables [sources.NAME]",
        secret=True,
    )
    hooks: HookSettings | None = _setting(  # noqa: RUF009
        "BACKSTAY_HOOKS",
        parse_hooks,
        "programs around the work as JSON, or the table [hooks]",
        secret=True,
    )
    places: dict[str, PlaceSettings] | None = _setting(  # noqa: RUF009
        "BACKSTAY_PLACES",
        parse_places,
        "archives to import, as JSON or tables [places.NAME] with url and tenants",
        secret=True,
    )
    replicas: dict[str, str] | None = _setting(  # noqa: RUF009
        "BACKSTAY_REPLICAS",
        parse_replicas,
        "further stores of snapshots: name=URL,name=URL, or the table [replicas]",
        secret=True,
    )
    replica_policy: str = _setting(
        "BACKSTAY_REPLICA_POLICY",
        parse_policy,
        "all: available once every replica has it; primary: at once",
    )
    health_hook: str | None = _setting(
        "BACKSTAY_HEALTH_HOOK", values.path, "program that is asked whether a service is well"
    )
    identity_files: str | None = _setting(
        "BACKSTAY_IDENTITY_FILES", values.text, "gitignore-like patterns, separated by colons, that a clone leaves out"
    )
    secret_keys: str | None = _setting(
        "BACKSTAY_SECRET_KEYS", values.text, "key ring: id:base64[,id:base64…], the first one seals", secret=True
    )
    encryption: bool = _setting("BACKSTAY_ENCRYPTION", values.switch, "on or off: whether new snapshots are sealed")
    processes: int = _setting("BACKSTAY_PROCESSES", values.count, "worker processes of this node")
    threads: int = _setting("BACKSTAY_THREADS", values.count, "operations at once in each process")
    lease_seconds: int = _setting("BACKSTAY_LEASE_SECONDS", values.count, "how long a silent worker keeps an operation")
    shutdown_seconds: int = _setting("BACKSTAY_SHUTDOWN_SECONDS", values.count, "how long a stopping worker may finish")
    slots: dict[str, int] | None = _setting(  # noqa: RUF009
        "BACKSTAY_SLOTS", limits.slots, "most operations at once on this node, by kind and of `all`: KIND=N,all=N"
    )
    upload_limit: int | None = _setting("BACKSTAY_UPLOAD_LIMIT", limits.rate, "bytes per second to the store, as 20M")
    download_limit: int | None = _setting("BACKSTAY_DOWNLOAD_LIMIT", limits.rate, "bytes per second from the store")
    keep_free: int | None = _setting(
        "BACKSTAY_KEEP_FREE", limits.size, "room that data work leaves on a disk, as 5G; unset: a twentieth, at most 1G"
    )
    backlog_limit: int = _setting(
        "BACKSTAY_BACKLOG_LIMIT", values.count, "queued operations beyond which intake pauses"
    )
    index_label: str = _setting(
        "BACKSTAY_INDEX_LABEL", values.text, "the label whose value stands in compatibility keys"
    )
    http: str = _setting("BACKSTAY_HTTP", values.address, "where `web` and `serve` listen; a worker: `--http` only")
    verify_days: int | None = _setting(
        "BACKSTAY_VERIFY_DAYS",
        values.count,
        "in so many days every snapshot is read back once; unset: none is by itself",
    )
    rolled_back_letters: bool = _setting(
        "BACKSTAY_ROLLED_BACK_LETTERS", values.switch, "on or off: whether what was rolled back becomes a dead letter"
    )
    history_days: int | None = _setting(
        "BACKSTAY_HISTORY_DAYS", values.history, "days after which ended operations are forgotten; unset: never"
    )
    reader_grace_seconds: int = _setting(
        "BACKSTAY_READER_GRACE_SECONDS", values.seconds, "how long a deleted snapshot's objects stay for who reads them"
    )
    public_url: str | None = _setting(
        "BACKSTAY_PUBLIC_URL",
        values.url("http", "https"),
        "where `backstay web` is reached from outside, for download links",
    )
    metrics_services: int = _setting(
        "BACKSTAY_METRICS_SERVICES", values.seconds, "services that metrics name, those with the oldest data; 0: none"
    )
    otlp_endpoint: str | None = _setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        values.url("http", "https"),
        "collector of traces (OTLP over HTTP); unset: no traces",
        secret=True,
    )
    otel_service_name: str = _setting("OTEL_SERVICE_NAME", values.text, "what this installation is called in traces")
    log_level: str = _setting("BACKSTAY_LOG_LEVEL", values.level, "debug, info, warning or error")
    origins: dict[str, str] = field(default_factory=dict, compare=False)


def load(environ: Mapping[str, str] | None = None, **overrides: str | None) -> Settings:
    """Read environment, file and defaults; `overrides` are command-line options. ConfigError lists all mistakes."""
    environ = os.environ if environ is None else environ
    chosen: dict[str, tuple[str, str]] = {}
    problems: list[str] = []
    given = {name: value for name, value in overrides.items() if value is not None}
    data_dir = given.get("data_dir") or environ.get("BACKSTAY_DATA_DIR") or _home(environ)
    file_name = environ.get("BACKSTAY_CONFIG") or os.path.join(os.path.expanduser(data_dir), "backstay.toml")
    from_file = _read_file(file_name, required="BACKSTAY_CONFIG" in environ, problems=problems)
    for item in (item for item in fields(Settings) if item.metadata):
        env = item.metadata["env"]
        if item.name in given:
            chosen[item.name] = (given[item.name], "command line")
        elif environ.get(env):
            chosen[item.name] = (environ[env], f"environment {env}")
        elif item.name in from_file:
            value = from_file.pop(item.name)
            chosen[item.name] = (json.dumps(value) if isinstance(value, dict) else str(value), f"file {file_name}")
        from_file.pop(item.name, None)
    problems += [f"{file_name}: unknown setting {name!r}{_meant(name)}" for name in from_file]
    wanted = chosen.get("data_dir", ("",))[0].strip() or data_dir
    problems += embedded.left_behind(values.path(data_dir), values.path(wanted), chosen)
    return _build(chosen, wanted, problems)


def _meant(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, [item.name for item in fields(Settings) if item.metadata])
    return f"; did you mean {' or '.join(close)}?" if close else "; see `backstay config show`"


def _build(chosen: dict[str, tuple[str, str]], data_dir: str, problems: list[str]) -> Settings:
    defaults = default_values(values.path(data_dir))
    built: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for item in (item for item in fields(Settings) if item.metadata):
        text, origins[item.name] = chosen.get(item.name, (defaults[item.name], "default"))
        try:
            built[item.name] = None if text is None else item.metadata["parse"](text)
        except ValueError as error:
            problems.append(f"{item.metadata['env']} ({origins[item.name]}): {error}")
            built[item.name] = None
    shared = not str(built["database_url"]).startswith("sqlite")
    if shared and built["secret_keys"] is None:
        problems.append(
            "BACKSTAY_SECRET_KEYS: must be set when the database is shared, so that every node can open what "
            "another sealed; `backstay config new-key` prints one"
        )
    if built["store_url"] in (built["replicas"] or {}).values():
        problems.append("BACKSTAY_REPLICAS: a replica is the store itself; give it a place of its own")
    if problems:
        raise ConfigError(problems)
    return Settings(**built, origins=origins)


def _home(environ: Mapping[str, str]) -> str:
    if environ.get("XDG_DATA_HOME"):
        return os.path.join(environ["XDG_DATA_HOME"], "backstay")
    return "/var/lib/backstay" if os.geteuid() == 0 else "~/.local/share/backstay"


def default_values(data_dir: str) -> dict[str, str | None]:
    name = re.sub(r"[^a-z0-9._-]+", "-", socket.gethostname().lower()).strip("._-")[:63]
    return {
        "data_dir": data_dir,
        **embedded.default_values(data_dir),
        "node": name or "node",
        "region_url": None,
        "regions": None,
        "sources": None,
        "hooks": None,
        "places": None,
        "replicas": None,
        "replica_policy": "all",
        "health_hook": None,
        "identity_files": None,
        "secret_keys": None,
        "encryption": "on",
        "processes": "1",
        "threads": "4",
        "lease_seconds": "60",
        "shutdown_seconds": "25",
        "slots": None,
        "upload_limit": None,
        "download_limit": None,
        "keep_free": None,
        "backlog_limit": "200000",
        "index_label": "owner",
        "http": "127.0.0.1:8321",
        "public_url": None,
        "verify_days": None,
        "rolled_back_letters": "off",
        "history_days": None,
        "reader_grace_seconds": "21600",
        "metrics_services": "200",
        "otlp_endpoint": None,
        "otel_service_name": "backstay",
        "log_level": "info",
    }


def actor_name() -> str:
    """Who acts: $BACKSTAY_ACTOR, else `user@host`. No setting, because everybody who can read the file shares it."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return os.environ.get("BACKSTAY_ACTOR") or f"{name}@{socket.gethostname()}"[:LONGEST_ACTOR]


def editor_name() -> str:
    """The program that a person edits texts with: $VISUAL, else $EDITOR, else vi."""
    return os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"


def _read_file(name: str, *, required: bool, problems: list[str]) -> dict[str, Any]:
    try:
        with open(name, "rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        if required:
            problems.append(f"BACKSTAY_CONFIG: there is no file {name}")
    except (OSError, tomllib.TOMLDecodeError) as error:
        problems.append(f"{name}: {error}")
    return {}


def shown(settings: Settings) -> list[tuple[str, str, str, str]]:
    """(setting, value fit for a screen, origin, meaning) for each; secrets and passwords are masked."""
    rows = []
    for item in (item for item in fields(Settings) if item.metadata):
        value = getattr(settings, item.name)
        text = "-" if value is None else str(value)
        if isinstance(value, bool):
            text = "on" if value else "off"
        if item.metadata["secret"] and value is not None:
            text = (
                "********"
                if item.name in ("secret_keys", "regions", "sources", "hooks", "places", "replicas")
                else re.sub(r"(//[^:/@]*):[^@/]*@", r"\1:********@", text)
            )
        rows.append((item.metadata["env"], text, settings.origins[item.name], item.metadata["about"]))
    return rows
