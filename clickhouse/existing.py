"""What there is to read, as far as a plan has to know: how many rows a bucket has, and since when a table has any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Part = tuple[str, str]
"""A table and the name of a dimension set; raw has none: ''."""


@dataclass(frozen=True)
class Existing:
    """`since`: the first instant (epoch ms) a table still covers, where its rows expire. On the average of all sites,
    empty as long as nobody counted: `rows` of one bucket (raw: of a day), and `blogs` in the state of one row."""

    since: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[Part, float] = field(default_factory=dict)
    blogs: Mapping[Part, float] = field(default_factory=dict)
