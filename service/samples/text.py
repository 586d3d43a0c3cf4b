"""Prometheus text and OpenMetrics, line by line, as prometheus_client's parsers read them.

These are written in Python and were not made for strangers' input: 30 µs a line, quadratic in the length of some lines,
and on a bad one they raise whatever happens (ValueError, KeyError, AttributeError, TypeError, OverflowError). So lines
that no sample needs are kept from them, a body may take MOST_SECONDS, and any of their errors is the line's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from decimal import Decimal
from math import isfinite, nan

from prometheus_client.openmetrics.parser import text_fd_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as prometheus_families
from prometheus_client.samples import Sample, Timestamp

from service.ingest.body import Format
from service.ingest.items import MAX_ITEMS, too_many
from service.ingest.rejections import Rejection
from service.problems import FieldError, NotText, Problem, TooLarge
from service.samples.parse import SampleIn
from service.samples.series import MAX_LABEL_VALUE, MAX_LABELS

Found = dict[int, SampleIn | Rejection]
"""By the position among the body's samples, in order."""

# Of processor time. 100,000 samples of four labels take 3.
MOST_SECONDS = 60

# Comments, blank lines and samples. A metric has two or three comments.
_MOST_LINES = 5 * MAX_ITEMS

# Characters of a line that needs no closer look: the parsers take 0.6 ms for the worst of them, a native histogram; of
# 4,000 characters it takes 37.
_SHORT = 512

# Quoted texts and what stands between them, which is a name or numbers; exemplars have labels too.
_MOST_PIECES = 2 * (MAX_LABELS + 1) + 130
_LONGEST_QUOTED = 2 * MAX_LABEL_VALUE  # each character escaped
_LONGEST_BETWEEN = _SHORT

# Lines and bytes of a text that may be read on the event loop: in 3 ms, of the worst lines in 10.
_FEW_LINES = 100
_FEW_BYTES = 2**13

# Read in a thread, a text of more gives the interpreter away for _PAUSE seconds each so many lines, 1 ms: Python would
# take it away after 5, and the event loop waits for it at each of its turns.
_LINES_A_TURN = 32
_PAUSE = 0.000_05


def is_small(body: bytes) -> bool:
    """Whether it is read without a pause, in some milliseconds."""
    if len(body) > _FEW_BYTES or body.count(b"\n") >= _FEW_LINES:
        return False
    return all(len(line) <= _SHORT for line in body.split(b"\n"))


def read_text(form: Format, body: bytes) -> Found:
    """
    Raises:
        NotText: it is not UTF-8, or a line is not what `form` says.
        TooLarge: too many lines or samples, or it takes too long.
    """
    try:
        text = body.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        raise NotText("the body is not UTF-8") from error
    if text.count("\n") > _MOST_LINES:
        raise TooLarge(f"at most {_MOST_LINES} lines a request")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    read = _prometheus if form is Format.PROMETHEUS else _openmetrics
    return read(lines)


def _prometheus(lines: list[str]) -> Found:
    """Each line by itself. With its TYPE before it, the parser would call a counter by another name."""
    lines = [line.strip() for line in lines]
    if sum(1 for line in lines if line and not line.startswith("#")) > MAX_ITEMS:
        raise too_many("samples")
    found: Found = {}
    for number, line in _in_turns(lines):
        if line.startswith("#"):
            if len(line) <= _SHORT:
                _parsed(number, line)
        elif line:
            index = len(found)
            found[index] = _oversized(index, line) or _sent(_parsed(number, line)[0])
    return found


def _parsed(number: int, line: str) -> list[Sample]:
    """One sample, or none of a comment."""
    try:
        if not line.startswith("#"):
            _check_end(line)
        return [sample for family in prometheus_families(line) for sample in family.samples]
    except Exception as fault:
        raise _not_text(number, fault) from fault


def _check_end(line: str) -> None:
    """Of several numbers the parser takes the first and the last."""
    words = line[line.rfind("}") + 1 :].split()
    if len(words) > (2 if "}" in line else 3):
        raise ValueError("there is more than a value and a timestamp")


def _openmetrics(lines: list[str]) -> Found:
    if sum(1 for line in lines if not line.startswith("#")) > MAX_ITEMS:
        raise too_many("samples")
    if not lines or lines[-1] != "# EOF":
        raise _not_text(len(lines), ValueError("the body does not end with # EOF"))
    feed = _Feed(lines)
    try:
        for family in openmetrics_families(feed):  # type: ignore[no-untyped-call]
            feed.take(family.name, family.samples)
    except Problem:
        raise
    except Exception as fault:
        raise _not_text(feed.number, fault) from fault
    return feed.found()


class _Feed:
    """Hands lines to the parser, and knows which of its samples comes from which."""

    def __init__(self, lines: list[str]) -> None:
        self.number = 0
        """Of the line handed over last, from 1."""
        self._lines = lines
        self._found: Found = {}
        self._waiting: list[int] = []
        """Samples handed over and not come back, by their index: the parser gives a metric when the next begins."""
        self._begins_next = False
        self._repeats: dict[int, int] = {}
        """Lines that were there before, of which the parser drops some without a word."""

    def __iter__(self) -> Iterator[str]:
        first: dict[str, int] = {}
        index = -1
        for number, line in _in_turns(self._lines):
            self.number = number
            if line.startswith("#"):
                self._begins_next = False
                yield f"{line[:_SHORT]}\n"
                continue
            index += 1
            oversized = _oversized(index, line)
            if oversized is not None:
                self._found[index] = oversized
            elif line in first:
                self._repeats[index] = first[line]
            else:
                first[line] = index
                self._waiting.append(index)
                self._begins_next = True
                yield f"{_without_exponent(line)}\n"

    def take(self, metric: str, samples: list[Sample]) -> None:
        last = len(self._waiting) - self._begins_next
        if len(samples) != last:
            raise ValueError(f"before it, {metric} has a series twice at one time")
        self._found.update(zip(self._waiting, map(_sent, samples), strict=False))
        self._waiting = self._waiting[last:]

    def found(self) -> Found:
        for index, first in self._repeats.items():
            self._found[index] = self._found[first]
        return dict(sorted(self._found.items()))


def _without_exponent(line: str) -> str:
    """The time as digits: of 1.7383248e+09, as Go's libraries write it, the parser passes over all from the `e` on."""
    if not _EXPONENT(line):
        return line
    return _TIME(lambda found: f"{found[1]}{Decimal(found[2]):f}", line)


_EXPONENT = re.compile(r"[eE][+-]?[0-9]+(?= # |$)").search
_TIME = re.compile(
    r"""^([^{ ]*(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})? [^ ]+ )([0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]{1,2})(?= # |$)"""
).sub


def _in_turns(lines: list[str]) -> Iterator[tuple[int, str]]:
    """With their numbers, from 1. Few are read without a pause, perhaps on the event loop."""
    begun = time.thread_time()
    for number, line in enumerate(lines, 1):
        if number % _LINES_A_TURN == 0 and len(lines) > _FEW_LINES:
            time.sleep(_PAUSE)
            if time.thread_time() - begun > MOST_SECONDS:
                raise TooLarge("the text takes too long to read: send it in several requests")
        yield number, line


def _oversized(index: int, line: str) -> Rejection | None:
    """Why no sample can need such a line, if it is a long one."""
    if len(line) <= _SHORT:
        return None
    pieces = line.replace("\\\\", "..").replace('\\"', "..").split('"')
    if len(pieces) > _MOST_PIECES:
        return Rejection(index, "labels", f"must be at most {MAX_LABELS}")
    if any(len(piece) > _LONGEST_QUOTED for piece in pieces[1::2]):
        return Rejection(index, "labels", f"must have values of at most {MAX_LABEL_VALUE} characters")
    if any(len(piece) > _LONGEST_BETWEEN for piece in pieces[::2]):
        return Rejection(index, "", "is longer than a sample can be")
    return None


def _sent(sample: Sample) -> SampleIn:
    return SampleIn(sample.name, sample.labels, _at(sample.timestamp), _value(sample.value))


def _value(value: float | None) -> float:
    """A whole number is an int of any length; a native histogram has none."""
    try:
        return nan if value is None else float(value)
    except OverflowError:
        return nan


_NEVER = -1


def _at(timestamp: float | Timestamp | None) -> int | None:
    """Epoch ms, rounded down. Floats are seconds, too: to the microsecond they are exact until 2100."""
    if timestamp is None:
        return None
    if isinstance(timestamp, Timestamp):
        return timestamp.sec * 1_000 + timestamp.nsec // 1_000_000
    return round(timestamp * 1_000_000) // 1_000 if isfinite(timestamp) else _NEVER


def _not_text(number: int, fault: Exception) -> NotText:
    """A ValueError has the parsers' words for the line, if any; the others tell of the parser."""
    said = str(fault)[:200] if isinstance(fault, ValueError) else ""
    said = "".join(character for character in said if character.isprintable()) or "is no sample"
    message = f"line {number}: {said}"
    return NotText(f"the body cannot be read, {message}", [FieldError(field="", message=message)], line=number)
