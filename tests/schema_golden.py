"""The rollups' DDL as a file: `make schema` writes it, a test compares, so a change shows in review."""

from __future__ import annotations

from pathlib import Path

from clickhouse.ddl import rollup_objects

GOLDEN = Path(__file__).parent / "golden" / "rollups.sql"


def derived() -> str:
    return "".join(f"{rollup.create};\n\n" for rollup in rollup_objects()).rstrip("\n") + "\n"


if __name__ == "__main__":
    GOLDEN.write_text(derived())
