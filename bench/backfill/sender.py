"""A client that sends one event after the other and waits for each to be stored: what a fence makes it wait for."""

from __future__ import annotations

import http.client
import json
import threading
import time
from types import TracebackType
from typing import Self

from bench import wire
from bench.service import HOST

# Seconds between an answer and the next event.
_PAUSE = 0.05


class Sender:
    """Sends while the block runs; `waits` are the seconds each event took until it was stored, `sent` how many."""

    def __init__(self, port: int, site: str) -> None:
        self.waits: list[float] = []
        self._port = port
        self._site = site
        self._stop = threading.Event()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises what the sender met, unless the block raises already."""
        self._stop.set()
        self._thread.join()
        if self._fault is not None and error is None:
            raise self._fault

    def _run(self) -> None:
        try:
            while not self._stop.wait(_PAUSE):
                self._send()
        except Exception as fault:
            self._fault = fault

    def _send(self) -> None:
        body = json.dumps({"site": self._site, "blog_id": "waiting"})
        connection = http.client.HTTPConnection(HOST, self._port, timeout=120)
        began = time.perf_counter()
        connection.request("POST", "/api/events?wait=stored", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.load(response)
        if response.status != 202 or not answer.get("stored"):
            raise wire.BadAnswer(f"{response.status}: {answer}")
        self.waits.append(time.perf_counter() - began)
        connection.close()
