"""A file server that is not the bottleneck: the kernel sends (sendfile), Python only reads the requests.

``python -m bench.arms.fileserver DIRECTORY`` prints its port. It knows what the importer asks for: ranges, and versions (ETag).
"""

import os
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)")


class Handler(BaseHTTPRequestHandler):
    """Sends files below a directory."""

    protocol_version = "HTTP/1.1"
    root: Path

    def do_GET(self) -> None:
        """A file, or a range of one."""
        try:
            file = (self.root / self.path.lstrip("/")).open("rb")
        except OSError:
            self.send_error(404)
            return
        with file:
            self._send(file.fileno())

    def _send(self, descriptor: int) -> None:
        state = os.fstat(descriptor)
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        stop = min(int(wanted[2]) + 1, state.st_size) if wanted and wanted[2] else state.st_size
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("ETag", f'"{state.st_mtime_ns:x}-{state.st_size:x}"')
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{state.st_size}")
        self.end_headers()
        self.wfile.flush()
        while start < stop:
            start += os.sendfile(self.connection.fileno(), descriptor, start, stop - start)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the standard library's
        """Nothing."""


class Server(ThreadingHTTPServer):
    """One thread for each connection."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none."""


def main() -> None:
    """Serve until killed."""
    Handler.root = Path(sys.argv[1])
    with Server(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
