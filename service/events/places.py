"""Where a request comes from: what the proxy says, else what a GeoIP database says, else unknown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import maxminddb
from fastapi import Request

from service import countries


class Places:
    """The country of a request. The proxy's codes for Tor or 'no idea' (T1, XX) and private addresses mean unknown."""

    def __init__(self, header: str | None, database: maxminddb.Reader | None) -> None:
        self._header = header
        self._database = database

    def country(self, request: Request) -> str:
        """An ISO 3166-1 alpha-2 code; '' is unknown."""
        said = self._normalised(request.headers.get(self._header, "")) if self._header else ""
        return said or (self._looked_up(request.client.host) if self._database and request.client else "")

    def _looked_up(self, address: str) -> str:
        try:
            found = self._database.get(address) if self._database else None
        except ValueError:  # not an address: a unix socket's peer
            return ""
        # GeoLite2 and DB-IP: {"country": {"iso_code": "ET"}}.
        country = found.get("country") if isinstance(found, dict) else None
        code = country.get("iso_code") if isinstance(country, dict) else None
        return self._normalised(code) if isinstance(code, str) else ""

    @staticmethod
    def _normalised(code: str) -> str:
        try:
            return countries.normalise(code)
        except ValueError:
            return ""


@contextmanager
def open_places(header: str | None, database: Path | None) -> Iterator[Places]:
    """Raises OSError or maxminddb.InvalidDatabaseError for a file that is no GeoIP database."""
    if database is None:
        yield Places(header, None)
        return
    with maxminddb.open_database(database) as reader:
        yield Places(header, reader)
