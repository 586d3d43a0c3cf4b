"""The command line, `readership …`. A command is a few lines here; what it does stands in the file of its noun."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from httpx import HTTPError
from maxminddb import InvalidDatabaseError
from typer.exceptions import TyperException

from clickhouse.errors import ClickHouseError
from service.cli import (
    backfilling,
    dead_letters,
    deleting,
    doctor,
    exporting,
    importing,
    migrating,
    optimal,
    populating,
    reconciling,
    refreshing,
    scheduling,
    serving,
    stats,
    synthesizing,
    working,
)
from service.cli.client import NoService, RefusedByService, WrongRequest
from service.cli.exporting import CutOff
from service.cli.following import NotDone
from service.cli.serving import CannotListen
from service.cli.tsdb_blocks import NoBlocks
from service.imports.cells import UnusableFile
from service.problems import first_line
from service.settings import WrongSettings
from workers.valkey import ValkeyUnavailable

app = typer.Typer(
    help="Counts who reads which post, and answers for any range, zone and grouping in milliseconds.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serving.serve)
app.command("worker")(working.worker)
app.command("migrate")(migrating.migrate)
app.command("populate")(populating.populate)
app.command("import")(importing.import_)
app.command("export")(exporting.export)
app.command("backfill")(backfilling.backfill)
app.command("refresh")(refreshing.refresh)
app.command("reconcile")(reconciling.reconcile)
app.command("stats")(stats.stats)
app.command("optimal")(optimal.optimal)
app.command("synth")(synthesizing.synth)
app.command("doctor")(doctor.doctor)
app.add_typer(scheduling.app, name="schedule")
app.add_typer(dead_letters.app, name="dead-letter")
app.add_typer(deleting.app, name="delete")


def main() -> None:
    """The console script: expected failures end in one line on stderr and status 1, wrong usage in 2."""
    with _one_line():
        sys.exit(app(prog_name="readership", standalone_mode=False))


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except TyperException as error:
        _fail(_usage(error), error.exit_code)
    except typer.Abort:
        _fail("given up", 1)
    except (WrongSettings, WrongRequest) as error:
        _fail(str(error), 2)
    except (
        ClickHouseError,
        ValkeyUnavailable,
        CannotListen,
        NoService,
        RefusedByService,
        NotDone,
        CutOff,
        NoBlocks,
        HTTPError,
        InvalidDatabaseError,
        UnusableFile,
        OSError,
    ) as error:
        _fail(first_line(error), 1)


def _usage(error: TyperException) -> str:
    """In one line, where Typer draws a box; '' where the help was printed already, as no command was given."""
    said = " ".join(error.format_message().split()).removesuffix(".")
    context = getattr(error, "ctx", None)
    return f"{said}; see `{context.command_path} --help`" if said and context is not None else said


def _fail(line: str, status: int) -> None:
    sys.stderr.write(f"readership: {line}\n" * bool(line))
    sys.exit(status)
