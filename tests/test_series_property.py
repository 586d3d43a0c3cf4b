"""Any samples, any question, on both engines: the answers are those of tests/oracle_samples.py."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle import Refused, asked_range
from tests.oracle_calendar import DAY, HOUR, MINUTE, rfc3339
from tests.oracle_facts import Json
from tests.oracle_samples import NUMBERS, Taken, interval_of, rows
from tests.samples import send
from tests.service import Service, new_site
from tests.strategies import ZONES, places

EXAMPLES = 25

_NAMES = ("user", "device", "select")
_values = st.sampled_from(["", "1", "2", "a,b", "'", "\\", '"', "\n", "é"])
_steps = st.sampled_from([0, -1, 1, MINUTE, -15 * MINUTE, HOUR, DAY, -DAY, 7 * DAY, 31 * DAY, 400 * DAY])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Taken], list[Json]]:
    """Samples around one difficult instant of a zone, no two at once, and questions about them."""
    zone = draw(st.sampled_from(ZONES))
    place = draw(st.sampled_from([one for one in places(zone) if rfc3339(one) > "2001"]))
    near = _steps | st.integers(-2 * DAY, 2 * DAY)
    latest = place + 500 * DAY
    instants = draw(st.lists(near.map(lambda step: place + step), min_size=1, max_size=30, unique=True))
    samples = [
        Taken(
            min(at, latest),
            draw(st.integers(-4_000, 4_000)) / 4,
            {name: draw(_values) for name in draw(st.sets(st.sampled_from(_NAMES)))},
        )
        for at in instants
        if rfc3339(at) < "2026"  # no bucket of these is the present one, whose row says `partial`
    ]
    questions = [_question(draw, zone, place) for _ in range(8)]
    return samples, questions


def _question(draw: st.DrawFn, zone: str, place: int) -> Json:
    intervals = st.sampled_from(["auto", "raw", "minute", "day", "week", "month", "year"])
    asked: Json = {"timezone": zone, "interval": draw(intervals)}
    asked["aggregates"] = draw(st.lists(st.sampled_from(list(NUMBERS)), min_size=1, unique=True))
    if draw(st.booleans()):
        asked["group_by"] = draw(st.lists(st.sampled_from([*_NAMES, "nobody"]), min_size=1, max_size=3, unique=True))
    if draw(st.booleans()):
        names = draw(st.sets(st.sampled_from(_NAMES), min_size=1))
        asked["labels"] = {name: draw(_values | st.lists(_values, min_size=1, max_size=4)) for name in names}
    for side in ("start", "end"):
        if asked["interval"] == "minute" or draw(st.booleans()):
            asked[side] = rfc3339(place + draw(st.integers(-3 * DAY, 3 * DAY)))
    return asked


@given(world=worlds())
@settings(max_examples=EXAMPLES, print_blob=True)
async def test_every_answer_is_the_oracles(service: Service, world: tuple[list[Taken], list[Json]]) -> None:
    samples, questions = world
    site = new_site()
    if samples:
        await send(service, site, "m", samples)
    for asked in questions:
        response = await service.http.post(
            "/api/samples/query", json={"site": site, "metric": "m", "page_size": 1000, **asked}
        )
        try:
            asked_range(asked)
        except Refused:
            assert response.status_code == 422, response.text
            continue
        interval = interval_of(samples, asked) if asked["interval"] == "auto" else asked["interval"]
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer["meta"]["interval"] == interval
        assert answer["results"] == rows(samples, asked, interval)
