"""Prometheus text and OpenMetrics: what the reference writer writes is read exactly, and nothing breaks the reader."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.registry import Collector
from prometheus_client.samples import Timestamp

from clickhouse.samples import Sample, labels_text
from service.ingest.body import Format
from service.ingest.items import MAX_ITEMS
from service.problems import NotText, Problem, TooLarge
from service.samples import text as module
from service.samples.arrivals import Arrivals
from service.samples.parse import NOT_FINITE, Parsed, Parser
from service.samples.text import is_small, read_text

NOW = 1_763_800_000_000
AT = 1_738_324_800_123
PROMETHEUS, OPENMETRICS = Format.PROMETHEUS, Format.OPENMETRICS
END = "# EOF\n"


def read(form: Format, body: str | bytes) -> Parsed:
    sent = body if isinstance(body, bytes) else body.encode()
    return Parser(NOW, "default", Arrivals(), 2**26, once=True).take(read_text(form, sent).items())


def one(form: Format, line: str) -> Sample:
    (sample,) = read(form, f"{line}\n{END if form is OPENMETRICS else ''}").samples
    return sample


def labels(number: int) -> str:
    return ",".join(f'l{one}="x"' for one in range(number))


@pytest.mark.parametrize(
    ("form", "line", "at"),
    [
        (PROMETHEUS, "m 1", NOW),
        (PROMETHEUS, "m 1 1738324800123", AT),
        (PROMETHEUS, "m\t1\t1738324800123", AT),
        (PROMETHEUS, "  m  1  1738324800123  ", AT),
        (PROMETHEUS, "m 1 1738324800123.9", AT),
        (PROMETHEUS, "m 1 1738324800123\r", AT),
        (PROMETHEUS, "m 1 946684800000", 946_684_800_000),
        (PROMETHEUS, "m 1 1763800599999", NOW + 599_999),
        (OPENMETRICS, "m 1", NOW),
        (OPENMETRICS, "m 1 1738324800", AT - 123),
        (OPENMETRICS, "m 1 1738324800.123", AT),
        (OPENMETRICS, "m 1 1738324800.1239999999", AT),
        (OPENMETRICS, "m 1 1738324800.123e0", AT),
        (OPENMETRICS, "m 1 1.738324800123e9", AT),
        (OPENMETRICS, "m 1e3 1.738324800123e+09", AT),
        (OPENMETRICS, 'm{a="1 1.5e3",b="}"} 1 1.738324800123e+09', AT),
        (OPENMETRICS, "m 1 1738324800123e-3", AT),
        (OPENMETRICS, "m 1 17383248001239.99e-04", AT),
    ],
)
def test_time_is_exact_to_the_millisecond(form: Format, line: str, at: int) -> None:
    assert one(form, line).at == at


def test_each_millisecond_is_its_own() -> None:
    for at in range(1_738_324_800_000, 1_738_324_801_000):
        assert one(PROMETHEUS, f"m 1 {at}").at == at
        assert one(OPENMETRICS, f"m 1 {at / 1000:.3f}").at == at
        assert one(OPENMETRICS, f"m 1 {at / 1000!r}e0").at == at


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("m NaN", "value"),
        ("m +Inf", "value"),
        ("m -Inf", "value"),
        ("m 1e999", "value"),
        (f"m {'9' * 400}", "value"),
        ("m 1 0", "at"),
        ("m 1 -1738324800123", "at"),
        ("m 1 1e300", "at"),
        ("m 1 1.5e99", "at"),
        ("m" * 201 + " 1", "metric"),
        ("m" * 9_999 + " 1", ""),
        ('m{"no.classic"="b"} 1', "labels"),
        (f'm{{{"l" * 201}="b"}} 1', "labels"),
        (f'm{{l="{"x" * 1_025}"}} 1', "labels"),
        (f'm{{l="{"x" * 9_999}"}} 1', "labels"),
        ('m{l="\x00"} 1', "labels"),
        (f"m{{{labels(65)}}} 1", "labels"),
        (f"m{{{labels(9_999)}}} 1", "labels"),
        (f"m {'9' * 9_999}", ""),
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.parametrize("form", [PROMETHEUS, OPENMETRICS])
def test_what_is_wrong_with_a_sample_costs_no_other(form: Format, line: str, field: str) -> None:
    found = read(form, f"a 1\n{line}\nb 2\n{END}")
    assert [(sample.metric, sample.value) for sample in found.samples] == [("a", 1.0), ("b", 2.0)]
    assert [(fault.index, fault.field) for fault in found.rejected] == [(1, field)]


def test_a_name_that_is_not_classic_is_told_so() -> None:
    for form in (PROMETHEUS, OPENMETRICS):
        (rejected,) = read(form, f'# TYPE "no.classic" gauge\n{{"no.classic",a="b"}} 1\n{END}').rejected
        assert (rejected.index, rejected.field) == (0, "metric")


def test_largest_series_is_a_sample() -> None:
    values = {f"l{number:02}{'x' * 197}": '"' * 900 for number in range(4)}
    inside = ",".join(name + '="' + '\\"' * 900 + '"' for name in values)
    for form in (PROMETHEUS, OPENMETRICS):
        assert one(form, f"{'m' * 200}{{{inside}}} 1") == Sample("default", "m" * 200, labels_text(values), NOW, 1, NOW)


BROKEN = [
    "words and more words",
    "<html>",
    '{"metric": "m", "value": 1}',
    "m",
    "m one",
    "m 1 soon",
    "m 1_0",
    'm{a="b" 1',
    'm{a="b} 1',
    'm{a="b",a="c"} 1',
    "m{a=b} 1",
    'm{a="b"} 1 2 3',
    "m 1 2 3",
    "{} 1",
    '{a="b"} 1',
    "# TYPE m",
    "# HELP 1m no name",
]


@pytest.mark.parametrize("line", BROKEN)
@pytest.mark.parametrize("form", [PROMETHEUS, OPENMETRICS])
def test_broken_line_is_told_by_its_number(form: Format, line: str) -> None:
    with pytest.raises(NotText, match=r"line 3: ") as told:
        read(form, f"# HELP a text\na 1\n{line}\nb 2\n{END}")
    assert told.value.extensions == {"line": 3}
    assert "attribute" not in told.value.detail


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("", 0),
        ("m 1\n", 1),
        ("m 1\n\n", 2),
        (f"m 1\n{END}m 2\n", 3),
        (f"m 1\n{END}\n", 3),
        (f"m 1\n\nn 2\n{END}", 2),
        (f"m 1\r\n{END}", 1),
        (f'm{{a="1"}} 1\nm{{a="2"}} 1\nm{{a="1"}} 2\n{END}', 3),
        (f"m 1 1738324801\nm 1 1738324800\n{END}", 2),
        (f"m 1 1738324801\nm 1 1.5e150\n{END}", 2),
        (f"m 1\nm 2\nn 1\n{END}", 3),
        (f"m 1 1738324801\nm 2 1738324801\n{END}", 3),
        (f"# TYPE m histogram\nm {{count:1}}\n{END}", 2),
        (f"# TYPE m histogram\nm_sum 1\n{END}", 3),
        (f"# TYPE m summary\nm 1\n{END}", 2),
        (f"# TYPE m nonsense\nm 1\n{END}", 3),
        (f"# TYPE m histogram\nx_total {{count:1,sum:1,schema:0,zero_threshold:1,zero_count:0}}\n{END}", 2),
    ],
)
def test_openmetrics_is_read_as_strictly_as_its_reference_does(body: str, line: int) -> None:
    with pytest.raises(NotText) as told:
        read(OPENMETRICS, body)
    assert told.value.extensions == {"line": line}


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(NotText, match="line 1"):
        read(PROMETHEUS, f"m 1 {'9' * 500}\n")
    for form in (PROMETHEUS, OPENMETRICS):
        with pytest.raises(NotText, match="UTF-8"):
            read(form, b'm{a="\xff"} 1\n')


def test_a_name_is_kept_whatever_its_type() -> None:
    body = '# TYPE hits counter\nhits 1\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 2\nh_count 1\n'
    assert [sample.metric for sample in read(PROMETHEUS, body).samples] == ["hits", "h_bucket", "h_sum", "h_count"]


def test_lines_said_twice_are_samples_twice_and_keep_their_indexes() -> None:
    body = f"a 1 1738324800\na 1 1738324800\na NaN 1738324801\nb NaN\na 1 1738324800\nb NaN\nc 1\n{END}"
    found = read(OPENMETRICS, body)
    assert [sample.metric for sample in found.samples] == ["a", "a", "a", "c"]
    assert [(fault.index, fault.reason) for fault in found.rejected] == [(index, NOT_FINITE) for index in (2, 3, 5)]


def test_exemplars_are_passed_over_and_native_histograms_named() -> None:
    histogram = "# TYPE h histogram\nh {count:24,sum:100,schema:0,zero_threshold:0.001,zero_count:4}\n"
    body = f'# TYPE m counter\nm_total 5 1738324800 # {{trace="x y"}} 1 1738324799\n{histogram}{END}'
    found = read(OPENMETRICS, body)
    assert [(sample.metric, sample.value) for sample in found.samples] == [("m_total", 5.0)]
    assert [(fault.index, fault.field) for fault in found.rejected] == [(1, "value")]


@pytest.mark.parametrize("form", [PROMETHEUS, OPENMETRICS])
def test_too_many_samples_are_too_large(form: Format) -> None:
    with pytest.raises(TooLarge, match="100000 samples"):
        read(form, "m 1\n" * (MAX_ITEMS + 1) + END)
    with pytest.raises(TooLarge, match="500000 lines"):
        read(form, "\n" * 500_001)


@pytest.mark.parametrize(
    "line",
    [
        'm{a="' + '\\"' * 2_000_000 + '"} 1',
        'm{a="' + "\\\\" * 2_000_000 + '"} 1',
        f"m{{{labels(500_000)}}} 1",
        f"#{' ' * 4_000_000}HELP",
        f"# HELP m {'x ' * 2_000_000}",
        f"m {'1' * 4_000_000}",
        f"m 1{' ' * 4_000_000}2",
    ],
    ids=lambda line: line[:12],
)
def test_a_line_made_to_be_slow_is_not(line: str) -> None:
    """The first of them takes the parser hours."""
    for form in (PROMETHEUS, OPENMETRICS):
        with suppress(NotText):
            read(form, f"{line}\n{END}")


def test_a_body_that_takes_too_long_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SECONDS", 0)
    for form in (PROMETHEUS, OPENMETRICS):
        with pytest.raises(TooLarge, match="several requests"):
            read(form, "".join(f"m{number} 1\n" for number in range(100)) + END)


LABEL_VALUES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20
) | st.sampled_from(['"', "\\", "\n", '\\"', "\\n", ",", "=", "}", "# EOF", " # {", "\r", "\x85", "\u2028", "አዲስ"])
SERIES = st.dictionaries(st.from_regex(r"[a-zA-Z_][a-zA-Z0-9]{0,5}", fullmatch=True), LABEL_VALUES, max_size=4)
POINTS = st.dictionaries(
    st.integers(946_684_800_000, NOW), st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4
)
METRICS = st.dictionaries(
    st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True),
    st.lists(st.tuples(SERIES, POINTS), min_size=1, max_size=3, unique_by=lambda pair: labels_text(pair[0])),
    max_size=4,
)
World = dict[str, list[tuple[dict[str, str], dict[int, float]]]]


class _Held(Collector):
    """A registry of one collector: what a program would show."""

    def __init__(self, world: World) -> None:
        self._world = world

    def collect(self) -> Iterable[GaugeMetricFamily]:
        for metric, series in self._world.items():
            family = GaugeMetricFamily(metric, 'Made\nup \\ "here".')
            for labels, points in series:
                for at, value in sorted(points.items()):
                    family.add_sample(metric, labels, value, Timestamp(at // 1000, at % 1000 * 1_000_000))
            yield family


def prometheus_text(world: World) -> str:
    """By hand: the reference writer rounds times down by way of floats, and is a millisecond off now and then."""
    escapes = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
    lines = []
    for metric, series in world.items():
        lines.append(f"# HELP {metric} Made up.\n# TYPE {metric} gauge\n")
        for labels, points in series:
            inside = ",".join(f'{name}="{value.translate(escapes)}"' for name, value in labels.items())
            lines += [f"{metric}{{{inside}}} {value!r} {at}\n" for at, value in points.items()]
    return "".join(lines)


def expected(world: World) -> set[Sample]:
    return {
        Sample("default", metric, labels_text(labels), at, value, NOW)
        for metric, series in world.items()
        for labels, points in series
        for at, value in points.items()
    }


@given(METRICS)
@settings(max_examples=100)
def test_what_the_reference_writes_is_read_equal(world: World) -> None:
    registry = CollectorRegistry()
    registry.register(_Held(world))
    written_by_reference = openmetrics_text(registry)  # type: ignore[no-untyped-call]
    for form, written in ((OPENMETRICS, written_by_reference), (PROMETHEUS, prometheus_text(world))):
        found = read(form, written)
        assert (set(found.samples), found.rejected) == (expected(world), [])


PIECES = st.lists(
    st.sampled_from(
        [
            *'{}"\\#,=\n \t',
            "m",
            "a=",
            "1",
            "NaN",
            "-",
            "1e9",
            ".",
            "_",
            "# TYPE ",
            "# HELP ",
            "# UNIT ",
            "histogram",
            "counter",
            "summary",
            "stateset",
            "m_bucket",
            "m_total",
            "m_sum",
            'le="1"',
            "{count:1,sum:2}",
            "m 1\n",
            END,
        ]
    )
    | st.text(max_size=3),
    max_size=25,
).map("".join)


@given(st.sampled_from([PROMETHEUS, OPENMETRICS]), PIECES | st.binary(max_size=40), st.booleans())
@settings(max_examples=1_000)
def test_whatever_comes_is_read_or_refused(form: Format, body: str | bytes, ended: bool) -> None:
    sent = body if isinstance(body, bytes) else body.encode(errors="surrogatepass")
    try:
        found = read_text(form, sent + b"\n# EOF\n" if ended else sent)
    except Problem as problem:
        json.dumps([problem.detail, problem.extensions])
    else:
        assert list(found) == list(range(len(found)))


def test_a_small_text_is_read_without_a_pause_and_no_other_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []
    monkeypatch.setattr(time, "sleep", paused.append)
    small, large = b"m 1\n" * 99, b"m 1\n" * 100
    assert (is_small(small), is_small(large)) == (True, False)
    assert (len(read_text(PROMETHEUS, small)), paused) == (99, [])
    assert len(read_text(PROMETHEUS, large + b"m 1\n")) == 101
    assert paused
    assert not is_small(b'm{a="' + b"x" * 600 + b'"} 1\n')
    assert not is_small(b"#" * 9_000)
