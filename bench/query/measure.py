"""What is done to one engine, in order. Figures are named `part.what`; `tables` says what each one means."""

from __future__ import annotations

from dataclasses import dataclass

from bench.apart import within
from bench.engines import Engine
from bench.history import Figures
from bench.query.dataset import build
from bench.query.inserts import insert_costs
from bench.query.questions import PAGE
from bench.query.ways import Answer, by_api, by_sql, differences
from bench.telling import told

# For building 50 M events, or for all scans of them; a part that takes longer hangs.
_SECONDS = 3_000


@dataclass(frozen=True)
class Sizes:
    """`repeats`: how often a question is asked. `insert_blocks`: none for no inserts. `growth`: ask a tenth too."""

    events: int
    repeats: int
    insert_blocks: int
    growth: bool


def measure(engine: Engine, sizes: Sizes, figures: Figures) -> list[str]:
    """Puts all figures into `figures`, as they come; returns where the ways of asking differ."""
    if sizes.insert_blocks:
        with told(f"{engine.name}: inserts"):
            figures |= within(_SECONDS, insert_costs, engine.dsn("inserts"), sizes.insert_blocks)
    storage, asked = _built_and_asked(engine, sizes.events, sizes.repeats)
    with told(f"{engine.name}: by hand and by scans"):
        written = within(_SECONDS, by_sql, engine.dsn(_database(sizes.events)), sizes.repeats)
    figures |= storage
    for name, answer in asked.items():
        hand, scan = written[name]
        of = {"p50": answer.p50, "p99": answer.p99, "hand": hand.p50, "scan": scan.p50}
        of |= {"rows": answer.read, "hand_rows": hand.read, "scan_rows": scan.read}
        figures |= {f"ask.{name}.{what}": value for what, value in of.items()}
    for span in ("1y", "3y"):
        figures[f"kolkata.{span}"] = asked[f"days_{span}_kolkata"].p50 / asked[f"days_{span}"].p50
    if sizes.growth:
        _, tenth = _built_and_asked(engine, sizes.events // 10, sizes.repeats)
        figures |= {f"ask.{name}.p50_tenth": answer.p50 for name, answer in tenth.items()}
    return list(differences(asked, written))


def _built_and_asked(engine: Engine, events: int, repeats: int) -> tuple[Figures, dict[str, Answer]]:
    """What the tables take, and the API's answers."""
    database = _database(events)
    with told(f"{engine.name}: {events:,} events"):
        storage = within(_SECONDS, build, engine.dsn(database), events)
    with (
        told(f"{engine.name}: {events:,} events, the API"),
        engine.service(database, api_max_page_size=str(PAGE)) as service,
    ):
        return storage, by_api(service, repeats)


def _database(events: int) -> str:
    return f"views_{events}"
