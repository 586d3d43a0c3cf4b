"""The counts of fault tests, as a table at the end of a run: what the README quotes."""

from __future__ import annotations

import pytest

from tests.fault.case import Case

_NAME = "counts of a fault test"


def keep(item: pytest.Item, case: Case) -> None:
    """With the report, which travels out of the process that ran the test."""
    if verdict := case.verdict:
        line = (
            f"{len(case.ledger.acknowledged):>12,} {verdict.stored:>9,} {len(verdict.lost):>5}"
            f" {len(verdict.doubled):>8} {verdict.wrong:>6}  {case.name}: "
            + ", ".join(f"{count:,} {kind}" for kind, count in sorted(case.faults.items()))
        )
        item.user_properties.append((_NAME, line))


def tell(reporter: pytest.TerminalReporter, form: str) -> None:
    """What was kept, if anything."""
    reports = (report for group in reporter.stats.values() for report in group)
    ended = (report for report in reports if isinstance(report, pytest.TestReport) and report.when == "teardown")
    lines = [str(line) for report in ended for name, line in report.user_properties if name == _NAME]
    if lines:
        reporter.section(f"faults, {form} form")
        heads = f"{'acknowledged':>12} {'stored':>9} {'lost':>5} {'doubled':>8} {'wrong':>6}  case: faults"
        for line in [heads, *lines]:
            reporter.write_line(line)
