"""Deterministic event ids for lines that carry none, so that importing a file again adds nothing."""

from hashlib import sha256


class EventIds:
    """Names the lines of one file in the order it is read; one instance a file.

    The id is a UUIDv8 (RFC 9562, section 5.8) of sha256(site NUL line NUL n), n being how many identical
    lines stood before it: two identical hits in one second are two events, in a second import the same two.

    n is exact while fewer than `remember` different lines stand between two identical ones. Further apart
    the later one starts again at 0 and repeats an id: counted once instead of twice, never the other way
    round, and the same in every import. A log line carries its second, so identical ones stand close: at
    most 98 lines apart in the sample of 10,000, and 65,536 page views are more than a log holds of a second.
    Memory: two generations of at most `remember` digests, 12 MB when full, whatever the size of the file.
    """

    def __init__(self, remember: int = 65_536) -> None:
        self._remember = remember
        self._recent: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}

    def next_id(self, site: str, raw: bytes) -> str:
        """The id of the next line of `site` that reads `raw` (without its line break)."""
        name = sha256(site.encode() + b"\0" + raw)
        name.update(b"\0%d" % self._seen_before(name.digest()[:16]))
        return _uuid8(name.hexdigest())

    def _seen_before(self, line: bytes) -> int:
        n = self._recent[line] if line in self._recent else self._older.get(line, 0)
        self._recent[line] = n + 1
        if len(self._recent) >= self._remember:
            self._older, self._recent = self._recent, {}
        return n


def _uuid8(digest: str) -> str:
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"
