"""Settings from the environment (prefix READERSHIP_) and from .env; the README's table is checked against this."""

from __future__ import annotations

import os
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, FilePath, ValidationError
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict
from redis.asyncio.connection import parse_url

from clickhouse.engine import Dsn, Limits
from clickhouse.question import Distinct
from workers.spool.spool import Limits as SpoolLimits
from workers.versions import LONGEST

ENV_PREFIX = "READERSHIP_"

# What the command line reads.
_OTHERS = {f"{ENV_PREFIX}URL", f"{ENV_PREFIX}REMOTE_WRITE_TOKEN"}
_TESTS = f"{ENV_PREFIX}TEST_"


class WrongSettings(Exception):
    """One line that names the first wrong setting and what would be right."""


def _dsn(text: str | None) -> str | None:
    if text is not None:
        Dsn.parse(text)
    return text


def _redis_url(text: str | None) -> str | None:
    if text is not None and not _is_redis_url(text):
        # Not parse_url's own words: they may hold a piece of the password.
        raise ValueError("must be like redis://user:password@host:6379/0, rediss://… or unix:///path/of/the.sock")
    return text


def _is_redis_url(text: str) -> bool:
    try:
        known, url = parse_url(text), urlsplit(text)
    except ValueError:
        return False
    # What parse_url has no place for it passes over in silence.
    if url.scheme == "unix":
        return "path" in known and not url.hostname
    return "db" in known or url.path in {"", "/"}


def _networks(text: str) -> str:
    """`*` trusts everyone. uvicorn takes what is no network for a name that no client ever has."""
    for entry in () if text == "*" else text.split(","):
        try:
            ip_network(entry.strip())
        except ValueError as error:
            raise ValueError(f"{error}; addresses or networks, comma-separated, or * alone") from None
    return text


def _only_open(asked: bool) -> bool:
    if not asked:
        raise ValueError("an API that is not open to everybody is not built yet")
    return asked


def _no_cluster(name: str | None) -> str | None:
    if name is not None:
        raise ValueError("a cluster is not built yet")
    return name


class Settings(BaseSettings):
    """Every field is a setting; its description stands in the README's table."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_file=".env", extra="ignore", env_ignore_empty=True, frozen=True
    )

    data_dir: Path = Field(Path("data"), description="folder of everything the embedded deployment keeps")
    clickhouse_dsn: Annotated[str | None, AfterValidator(_dsn)] = Field(
        None,
        description="`chdb://<dir>` or `clickhouse[s]://user:password@host:port/database`;"
        " default `chdb://<DATA_DIR>/clickhouse`",
    )
    clickhouse_cluster: Annotated[str | None, AfterValidator(_no_cluster)] = Field(
        None, description="name of a ClickHouse cluster; not built yet: any name is refused"
    )
    redis_url: Annotated[str | None, AfterValidator(_redis_url)] = Field(
        None,
        description="`redis://host:port/db`; default: a private Valkey under `<DATA_DIR>/valkey`",
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on")
    api_open: Annotated[bool, AfterValidator(_only_open)] = Field(
        True,
        description="whether everybody may ask and send; what else there could be is not built yet: `false` is refused",
    )
    api_page_size: int = Field(100, ge=1, description="rows a page when `page_size` is not given")
    api_max_page_size: int = Field(1000, ge=1, le=10_000, description="a larger `page_size` is clamped to this")
    cache_ttl_seconds: int = Field(
        900,
        ge=0,
        le=LONGEST,
        description="seconds an answer about the past is kept, in Redis and by the client; 0 keeps none",
    )
    performance_x_metric: Literal["viewed", "created"] = Field(
        "viewed", description="what the number in performance labels counts: blogs `viewed` or `created`"
    )
    distinct: Distinct = Field(Distinct.APPROX, description="distinct counts: `approx` (from states) or `exact`")
    query_max_seconds: float = Field(10, gt=0, description="a question that takes longer is refused with 422")
    query_max_rows: int = Field(
        1_000_000_000, ge=1, description="a question that would read more rows is refused with 422"
    )
    query_max_memory: int = Field(
        2 * 2**30, ge=2**20, description="a question that needs more bytes of memory is refused with 422"
    )
    max_body_bytes: int = Field(10 * 2**20, ge=1, description="largest request body, as sent")
    max_decompressed_bytes: int = Field(64 * 2**20, ge=1, description="largest request body, decompressed")
    spool_max_bytes: int = Field(
        2 * 2**30, ge=2**20, description="bytes of events that wait for ClickHouse; beyond, 503"
    )
    spool_max_age_seconds: float = Field(
        7 * 86_400, gt=0, description="seconds the oldest of them may wait; beyond, 503"
    )
    spool_min_free_bytes: int | None = Field(
        None, ge=0, description="bytes the disk must have left; below, 503; default: a twentieth of it, at most 1 GiB"
    )
    stop_seconds: float = Field(
        10, ge=0, description="seconds to flush in when told to stop; what is left is flushed after the next start"
    )
    worker: bool | None = Field(
        None,
        description="whether `readership serve` does jobs (backfills and their like) itself; default: yes where"
        " ClickHouse or the queue is its own, else `readership worker` does",
    )
    worker_jobs: int = Field(2, ge=1, description="units of jobs that one worker does at a time")
    raw_retention_days: int | None = Field(
        None,
        ge=1,
        description="days after which events and samples are dropped, by whole months; rollups stay. Default: all stay",
    )
    schedules: bool = Field(True, description="whether workers begin by themselves what `readership schedule` lists")
    country_header: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9-]+$",
        description="header in which your proxy names the viewer's country, such as `CF-IPCountry`;"
        " set it only where every request comes through that proxy",
    )
    geoip_database: FilePath | None = Field(
        None,
        description="MaxMind file (GeoLite2 or DB-IP, country or city) that names the country where no header does",
    )
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = Field(
        "127.0.0.1",
        description="addresses or networks whose `X-Forwarded-For` is believed, comma-separated",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe line logged")
    log_format: Literal["console", "json"] = Field("console", description="how log lines look")

    @property
    def limits(self) -> Limits:
        return Limits(self.query_max_seconds, self.query_max_rows, self.query_max_memory)

    @property
    def spool(self) -> SpoolLimits:
        return SpoolLimits(self.spool_max_bytes, self.spool_max_age_seconds, self.spool_min_free_bytes)

    @property
    def works(self) -> bool:
        """Whether the service has a worker of its own."""
        if self.worker is None:
            return self.redis_url is None or self.dsn.embedded
        return self.worker

    @property
    def dsn(self) -> Dsn:
        return Dsn.parse(self.clickhouse_dsn or f"chdb://{self.data_dir}/clickhouse")


def load_settings(**given: Any) -> Settings:
    """The settings, with what the command line gives (None: nothing) before the environment.

    Raises:
        WrongSettings: one line that names the first wrong one.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ENV_PREFIX + "_".join(map(str, first["loc"])).upper()
        reason = first["msg"].removeprefix("Value error, ")
        raise WrongSettings(f"{name}: {reason}") from error


def unknown_settings() -> list[str]:
    """A line for each variable of ours that nothing reads: a typing error, nearly always.

    They stop nothing: Kubernetes gives every container of a namespace that has a service named `readership`
    variables such as READERSHIP_SERVICE_HOST.
    """
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields} | _OTHERS
    given = {name.upper() for name, value in {**DotEnvSettingsSource(Settings).env_vars, **os.environ}.items() if value}
    ours = (name for name in given if name.startswith(ENV_PREFIX) and not name.startswith(_TESTS))
    return [_unknown(name, known) for name in sorted(ours) if name not in known]


def _unknown(name: str, known: set[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.85)
    return f"{name} is no setting, and nothing reads it" + "".join(f": did you mean {one}?" for one in near)
