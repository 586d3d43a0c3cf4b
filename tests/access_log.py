"""Lines of a web server's access log."""

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"


def log_line(
    target: str = "/blog/a",
    *,
    time: str = "17/May/2015:10:05:03 +0000",
    agent: str = FIREFOX,
    ip: str = "192.0.2.1",
) -> bytes:
    return f'{ip} - - [{time}] "GET {target} HTTP/1.1" 200 512 "-" "{agent}"'.encode()
