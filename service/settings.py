"""Settings from the environment (prefix READERSHIP_) and from .env; the README's table is checked against this."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, FilePath, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from clickhouse.engine import Dsn
from clickhouse.question import Distinct

ENV_PREFIX = "READERSHIP_"


class WrongSettings(Exception):
    """One line that names the first wrong setting and what would be right."""


def _dsn(text: str | None) -> str | None:
    if text is not None:
        Dsn.parse(text)
    return text


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
    redis_url: str | None = Field(
        None,
        pattern=r"^(redis|rediss|unix)://",
        description="`redis://host:port/db`; default: a private Valkey under `<DATA_DIR>/valkey`",
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on")
    api_page_size: int = Field(100, ge=1, description="rows a page when `page_size` is not given")
    api_max_page_size: int = Field(1000, ge=1, le=10_000, description="a larger `page_size` is clamped to this")
    performance_x_metric: Literal["viewed", "created"] = Field(
        "viewed", description="what the number in performance labels counts: blogs `viewed` or `created`"
    )
    distinct: Distinct = Field(Distinct.APPROX, description="distinct counts: `approx` (from states) or `exact`")
    max_body_bytes: int = Field(10 * 2**20, ge=1, description="largest request body, as sent")
    max_decompressed_bytes: int = Field(64 * 2**20, ge=1, description="largest request body, decompressed")
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
    trusted_proxies: str = Field(
        "127.0.0.1",
        description="addresses or networks whose `X-Forwarded-For` is believed, comma-separated",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe line logged")
    log_format: Literal["console", "json"] = Field("console", description="how log lines look")

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
