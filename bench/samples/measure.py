"""The same questions by the API and by scans of raw: what they cost, and that they agree."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from bench.apart import within
from bench.engines import Engine
from bench.history import Figures
from bench.queries import latencies
from bench.query.ways import LIMITS, Answer, asked, explained
from bench.samples.dataset import Sizes, build
from bench.samples.questions import PAGE, QUESTIONS
from bench.service import Process
from bench.telling import told
from clickhouse.engine import Dsn, open_engine
from clickhouse.statement import Statement

# For building 26 M samples, or for all scans of them; a part that takes longer hangs.
_SECONDS = 1_800

_SCANS = 3


def measure(engine: Engine, sizes: Sizes, repeats: int, figures: Figures) -> list[str]:
    """Puts all figures into `figures`, as they come; returns where the ways of asking differ."""
    database = f"samples_{sizes.rows}"
    with told(f"{engine.name}: {sizes.rows:,} samples"):
        figures |= within(_SECONDS, build, engine.dsn(database), sizes)
    with (
        told(f"{engine.name}: the API"),
        engine.service(database, api_max_page_size=str(PAGE)) as service,
    ):
        answers = _by_api(service, repeats)
    with told(f"{engine.name}: scans"):
        scans = within(_SECONDS, _by_scan, engine.dsn(database))
    for name, answer in answers.items():
        of = {"p50": answer.p50, "p99": answer.p99, "scan": scans[name].p50}
        of |= {"rows": answer.read, "scan_rows": scans[name].read}
        figures |= {f"ask.{name}.{what}": value for what, value in of.items()}
    return list(_differences(answers, scans))


def _by_api(service: Process, requests: int) -> dict[str, Answer]:
    """Over HTTP on one connection."""
    times = {name: rest for name, *rest in latencies(service, {one.name: one.path for one in QUESTIONS}, requests)}
    found = {}
    for one in QUESTIONS:
        results, read = explained(service.port, one.path)
        found[one.name] = Answer([*map(_row, results)], read, *times[one.name])
    return found


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    numbers = (value for name, value in row.items() if name not in {"start", "period", "labels"})
    return (int(datetime.fromisoformat(row["start"]).timestamp()), row["labels"].get("user", ""), *numbers)


def _by_scan(dsn: str) -> dict[str, Answer]:
    return asyncio.run(_scans(Dsn.parse(dsn)))


async def _scans(dsn: Dsn) -> dict[str, Answer]:
    engine = await open_engine(dsn, LIMITS)
    try:
        return {one.name: await asked(engine, Statement(one.raw), _SCANS) for one in QUESTIONS}
    finally:
        await engine.close()


def _differences(ours: Mapping[str, Answer], scans: Mapping[str, Answer]) -> Iterator[str]:
    """A line for each question whose scan says something else; quantiles are not scanned for."""
    for name, scan in scans.items():
        rows = ours[name].rows
        same = len(rows) == len(scan.rows) and all(map(_equal, rows, scan.rows))
        if not same:
            found = next((pair for pair in zip(rows, scan.rows, strict=False) if not _equal(*pair)), "one ends early")
            yield f"WRONG: {name}: the API has {len(rows)} rows, the scan {len(scan.rows)}; they part at {found}"


def _equal(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
    keys, numbers = zip(ours[:2], theirs[:2], strict=True), zip(ours[2:], theirs[2:], strict=True)
    return all(one == other for one, other in keys) and all(
        other is None or math.isclose(one, other, rel_tol=1e-12) for one, other in numbers
    )
