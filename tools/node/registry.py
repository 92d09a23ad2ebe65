"""The registry that nodes pull from: read-only, over an OCI image layout, without a network.

    python -m tools.node.registry HOST PORT BLOBS NAMES      NAMES: a JSON file, image -> digest of its manifest, read anew for each pull

containerd asks it whatever registry an image names (`hosts.toml` below `_default`) and says in `?ns=` which one it meant. So manifests with
real image names run unchanged, and an image that was not published is not found, as it would be there. Names fail on purpose by a word:

    registry.example/denied/x:1    401, and no token for whoever asks for one: a private image without a pull secret
    registry.example/broken/x:1    500
    registry.example/slow/x:1      whole, each blob at 1 MB/s
    everything else                404 unless it was published
"""

import http.server
import json
import re
import sys
import time
import urllib.parse
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

from tools.node.layout import MANIFEST

PIECE: Final = 1 << 20  # bytes sent at once, and per second where a name asks for it
FAILING: Final = {"denied": HTTPStatus.UNAUTHORIZED, "broken": HTTPStatus.INTERNAL_SERVER_ERROR}


class Registry(http.server.ThreadingHTTPServer):
    """Serves what the file `names` lists out of the folder `blobs`."""

    daemon_threads = True

    def __init__(self, host: str, port: int, blobs: Path, names: Path) -> None:
        self.blobs = blobs
        self.names = names
        super().__init__((host, port), _Answer)

    @property
    def token_url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/token"

    def digest(self, registry: str, name: str, reference: str) -> str | None:
        """reference: a tag, or a digest, which needs no name to be found."""
        if reference.startswith("sha256:"):
            return reference
        names: dict[str, str] = json.loads(self.names.read_text())
        return names.get(f"{registry}/{name}:{reference}")


class _Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        asked = urllib.parse.urlsplit(self.path)
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", asked.path)
        if found is None:
            self._no_image(asked.path)
            return
        name, kind, reference = found.groups()
        words = set(name.split("/"))
        if failing := [status for word, status in FAILING.items() if word in words]:
            self._refuse(failing[0], name)
            return
        registry = urllib.parse.parse_qs(asked.query).get("ns", [""])[0]
        digest = self.server.digest(registry, name, reference)
        self._blob(digest, kind, slow="slow" in words)

    def _no_image(self, path: str) -> None:
        """`/v2/` says that this is a registry; `/token` has a token for nobody."""
        self._head({"/v2/": HTTPStatus.OK, "/token": HTTPStatus.UNAUTHORIZED}.get(path, HTTPStatus.NOT_FOUND))

    def _refuse(self, status: HTTPStatus, name: str) -> None:
        where = f'Bearer realm="{self.server.token_url}",service="registry",scope="repository:{name}:pull"'
        self._head(status, {"WWW-Authenticate": where} if status is HTTPStatus.UNAUTHORIZED else {})

    def _blob(self, digest: str | None, kind: str, slow: bool) -> None:
        file = self.server.blobs / (digest or "").removeprefix("sha256:")
        if digest is None or not file.is_file():
            self._head(HTTPStatus.NOT_FOUND)
            return
        content = MANIFEST if kind == "manifests" else "application/octet-stream"
        size = file.stat().st_size
        self._head(HTTPStatus.OK, {"Content-Type": content, "Docker-Content-Digest": digest}, size)
        if self.command == "GET":
            self._send(file, size, slow)

    def _send(self, file: Path, size: int, slow: bool) -> None:
        with file.open("rb") as content:
            for start in range(0, size, PIECE):
                self.connection.sendfile(content, start, PIECE)
                if slow:
                    time.sleep(1.0)

    def _head(self, status: HTTPStatus, headers: Mapping[str, str] | None = None, size: int = 0) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(size)}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the word of the base class
        """One line per request."""
        print(time.strftime("%H:%M:%S"), format % args, flush=True)


if __name__ == "__main__":
    Registry(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])).serve_forever()
