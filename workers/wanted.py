"""Ids to be claimed, packed as claims.lua reads them: few bytes, two arguments, whatever their number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

# Ids an exchange: 2,500 keep Valkey from its other clients for 6 ms, for 9 ms with 200,000 ids in each slot.
PORTION = 2_500

_count = Struct("<I").pack


class Wanted(NamedTuple):
    """The client-given ids of one request, as (site, 16-byte event_id), none twice.

    `owner` is the identity of its record, 1 to 255 bytes: the same at every try, and nobody else's.
    """

    owner: bytes
    ids: Sequence[tuple[str, bytes]]


class _Run(NamedTuple):
    """Ids of one request and one site, and where in the request they stand."""

    request: int
    owner: bytes
    ids: Sequence[bytes]
    positions: Sequence[int]


class Portion:
    """At most PORTION ids, by site."""

    def __init__(self, sites: dict[str, list[_Run]]) -> None:
        self._sites = sites

    def packed(self) -> bytes:
        parts: list[bytes] = []
        for site, runs in self._sites.items():
            parts += (tag(site), _count(len(runs)))
            for run in runs:
                parts += (len(run.owner).to_bytes(), run.owner, _count(len(run.ids)), *run.ids)
        return b"".join(parts)

    def places(self, positions: Sequence[int]) -> Iterator[tuple[int, int]]:
        """The (request, position in it) of ids that are counted in the order they were packed in."""
        if not positions:
            return
        runs, starts, end = [], [], 0
        for run in (run for runs in self._sites.values() for run in runs):
            runs.append(run)
            starts.append(end)
            end += len(run.ids)
        for position in positions:
            index = bisect_right(starts, position) - 1
            yield runs[index].request, runs[index].positions[position - starts[index]]


def portions(wanted: Sequence[Wanted]) -> Iterator[Portion]:
    """All that is wanted, in order; nothing wanted is one empty portion."""
    sites: dict[str, list[_Run]] = {}
    room = PORTION
    for request, (owner, pairs) in enumerate(wanted):
        for site, ids, positions in _by_site(pairs):
            done = 0
            while done < len(ids):
                if not room:
                    yield Portion(sites)
                    sites, room = {}, PORTION
                end = min(len(ids), done + room)
                sites.setdefault(site, []).append(_Run(request, owner, ids[done:end], positions[done:end]))
                room -= end - done
                done = end
    yield Portion(sites)


def _by_site(pairs: Sequence[tuple[str, bytes]]) -> Iterable[tuple[str, list[bytes], Sequence[int]]]:
    if len({site for site, _ in pairs}) == 1:  # nearly always
        return ((pairs[0][0], [event_id for _, event_id in pairs], range(len(pairs))),)
    found: dict[str, tuple[list[bytes], list[int]]] = {}
    for position, (site, event_id) in enumerate(pairs):
        ids, positions = found.setdefault(site, ([], []))
        ids.append(event_id)
        positions.append(position)
    return ((site, ids, positions) for site, (ids, positions) in found.items())


@lru_cache(10_000)
def tag(site: str) -> bytes:
    """Stands for the site in the name of a key, whatever characters and length it has."""
    return blake2b(site.encode("utf-8", "surrogatepass"), digest_size=16).digest()
