"""What can go wrong between us and ClickHouse.

ClickHouseError
├── Unavailable       not reachable, overloaded or shutting down: the same call may work later
│   └── RawChanging   events are being deleted or changed, so that no rollup can be made from them
├── Refused           ClickHouse understood and said no (the statement or its data is wrong)
├── TooExpensive      a question went over one of the limits set for questions
├── Locked            the embedded data folder is open in another process
├── SchemaMismatch    the database does not fit this version of the code; nothing was changed
├── RawExpired        a partition cannot be rebuilt: some of the events it was made of are gone; nothing was changed
└── StillDrifting     rebuilt as often as may be, and still something else than raw
"""

from __future__ import annotations

# Codes after which the same statement may succeed; everything else is a verdict on the statement itself.
# TIMEOUT_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES, SOCKET_TIMEOUT, NETWORK_ERROR, MEMORY_LIMIT_EXCEEDED,
# TABLE_IS_READ_ONLY, TOO_MANY_PARTS, UNKNOWN_STATUS_OF_INSERT, KEEPER_EXCEPTION and their kin.
TRANSIENT_CODES = frozenset({159, 202, 209, 210, 241, 242, 243, 252, 285, 286, 319, 425, 439, 999})


# Verdicts on the rows of an insert: sent again they are refused again. CANNOT_PARSE_TEXT and its kin, TYPE_MISMATCH,
# ARGUMENT_OUT_OF_BOUND, INCORRECT_DATA, TOO_LARGE_STRING_SIZE, VIOLATED_CONSTRAINT. Not throwIf (395), nor anything
# else that a view may say: the view may be mended.
DATA_CODES = frozenset({6, 26, 27, 32, 33, 38, 41, 53, 69, 72, 117, 131, 349, 469})


class ClickHouseError(Exception):
    """Base of everything this package raises about the database."""


class Unavailable(ClickHouseError):
    """The engine cannot answer now; retrying the very same call is safe and may work."""


class RawChanging(Unavailable):
    """Nothing can be made from raw while a mutation is at it; nothing was changed."""


class Refused(ClickHouseError):
    """The engine rejected the statement or its data; retrying changes nothing."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class TooExpensive(ClickHouseError):
    """A question went over a limit; `limit` is that setting's name in ClickHouse."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit


# TOO_MANY_ROWS, TIMEOUT_EXCEEDED, TOO_SLOW, MEMORY_LIMIT_EXCEEDED: verdicts where a limit was set, troubles elsewhere.
LIMIT_CODES = {158: "max_rows_to_read", 159: "max_execution_time", 160: "max_execution_time", 241: "max_memory_usage"}


class Locked(ClickHouseError):
    """Another process has the embedded data folder open (chDB allows one)."""


class SchemaMismatch(ClickHouseError):
    """An applied migration was edited, or a table has a shape this version cannot converge."""


class RawExpired(ClickHouseError):
    """Buckets that a rebuild would clear for ever: their events have expired."""


class StillDrifting(ClickHouseError):
    """A rollup differs from raw however often it is rebuilt: somebody inserts past the fence, or raw changes."""


def verdict(message: str, code: int | None, *, limited: bool) -> ClickHouseError:
    """The error for an answer of ClickHouse with this code; `limited` says that the statement ran under `Limits`."""
    if limited and code in LIMIT_CODES:
        return TooExpensive(LIMIT_CODES[code], message)
    return Unavailable(message) if code in TRANSIENT_CODES else Refused(message, code)
