"""One line of NDJSON: an event as POST /api/events takes it, completed with site and event_id."""

import json
from math import isfinite

from service.imports.event_ids import EventIds
from service.imports.reasons import Reason


def _finite(number: str) -> float:
    """NaN, Infinity and 1e999 are no JSON: sent on, one of them would cost the whole request its 202."""
    value = float(number)
    if not isfinite(value):
        raise ValueError(number)
    return value


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)


def to_event(raw: bytes, site: str, ids: EventIds) -> dict[str, object] | Reason:
    """The line's object with `site` where it names none, and an id derived from the line where it has none.

    Fields are not checked: the API names what is wrong with them, event by event.
    """
    try:
        text = raw.decode("utf-8-sig")
        event = _DECODER.decode(text)
        if "\\u" in text:
            json.dumps(event, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except UnicodeError:
        return Reason.NOT_UTF8
    except (ValueError, RecursionError):
        return Reason.NOT_JSON
    if not isinstance(event, dict):
        return Reason.NOT_AN_OBJECT
    if event.get("site") is None:
        event["site"] = site
    if event.get("event_id") is None:
        event["event_id"] = ids.next_id(str(event["site"]), raw)
    return event
