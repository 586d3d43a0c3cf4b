"""A server that answers in the service's place: what the service itself does not say on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def stand_in(answer: Callable[[str, Mapping[str, str], bytes], Answer]) -> Iterator[str]:
    """Its address; `answer` hears the path, the headers, named in small letters, and the body of each request but those
    that ask whether it lives."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            alive = self.path == "/healthz"
            sent = {name.lower(): value for name, value in self.headers.items()}
            status, headers, told = (200, {}, b"{}") if alive else answer(self.path, sent, body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(told))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
