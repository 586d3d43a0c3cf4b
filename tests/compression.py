"""Ways to compress a body that HTTP clients use, and some that only attackers do."""

import gzip
import zlib
from collections.abc import Callable
from functools import partial

Compress = Callable[[bytes], bytes]

# Without the time of day: pytest names tests by their arguments, and each process has to find the same names.
gzipped: Compress = partial(gzip.compress, mtime=0)


def in_pieces(compress: Compress, pieces: int) -> Compress:
    """Several frames, one after the other, as `cat a.gz b.gz` gives; all but two are empty."""
    return lambda body: compress(body[:9]) + compress(b"") * (pieces - 2) + compress(body[9:])


def bare_deflate(body: bytes) -> bytes:
    """Without the zlib header that RFC 9110 asks for; some clients leave it out."""
    return zlib.compress(body, wbits=-15)
