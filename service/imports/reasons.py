"""Why a line of an imported file became no event."""

from enum import StrEnum


class Reason(StrEnum):
    """The value is the name under which a reason is counted in `readership import --json`."""

    # The line could not be read: something is wrong with the file or with --format.
    NOT_COMBINED = "not_combined"  # not a line of the combined log format
    BAD_TIMESTAMP = "bad_timestamp"  # the format, but no such date, as 31/Feb/2015
    NOT_UTF8 = "not_utf8"  # not combined: bytes or \ud800 escapes that are no text
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"  # JSON, but a number, a list, …
    TOO_LONG = "too_long"  # longer than lines.LINE_LIMIT, or a cell than table.CELL_LIMIT
    COLUMNS = "columns"  # CSV: not as many cells as the header has

    # The line was read and is no page view.
    BLANK = "blank"
    METHOD = "method"  # not GET
    STATUS = "status"  # not 200
    TARGET = "target"  # not a path: an open proxy probe's http://elsewhere/
    ASSET = "asset"  # a style sheet, image, feed, download, …
    UNMATCHED = "unmatched"  # --match did not find it
    LONG_PATH = "long_path"  # no blog_id of 128 characters holds it
    CRAWLER = "crawler"  # a crawler or feed fetcher

    @property
    def unparsable(self) -> bool:
        return self in _UNPARSABLE


_UNPARSABLE = frozenset(
    {
        Reason.NOT_COMBINED,
        Reason.BAD_TIMESTAMP,
        Reason.NOT_UTF8,
        Reason.NOT_JSON,
        Reason.NOT_AN_OBJECT,
        Reason.TOO_LONG,
        Reason.COLUMNS,
    }
)
