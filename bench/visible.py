"""What readers see: views of a site as the API answers them, all years together."""

from __future__ import annotations

import http.client
import json
import time
from urllib.parse import urlencode

from bench import wire
from bench.service import HOST


class Reader:
    """Asks one question, on a connection of its own each time: the service hangs up on one that is idle for 5 s.

    An answer takes the service some 5 ms.
    """

    def __init__(self, port: int, site: str) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=60)
        self._site = site
        self._path = f"/api/analytics/performance?{urlencode({'site': site, 'compare': 'year'})}"

    def views(self) -> int:
        self._connection.request("GET", self._path)
        answer = json.load(self._connection.getresponse())
        self._connection.close()  # the next request opens it again
        return sum(row["y"] for row in answer["results"])

    def wait(self, wanted: int, pause: float, patience: float = 60) -> None:
        """Returns when so many views are seen, asking every `pause` seconds.

        Raises:
            BadAnswer: there are more, or after `patience` seconds still fewer.
        """
        deadline = time.perf_counter() + patience
        while (seen := self.views()) != wanted:
            if seen > wanted or time.perf_counter() > deadline:
                raise wire.BadAnswer(f"{self._site}: {seen} events are visible, {wanted} were sent")
            time.sleep(pause)
