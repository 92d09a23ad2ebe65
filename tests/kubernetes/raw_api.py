"""One kept-alive connection to an API server, for tests that want its own answer and nothing between."""

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.kubernetes.owned_manifests import PLURALS, Manifest

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"


class Refused(Exception):
    """The server said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class RawApi:
    def __init__(self, url: str, ca: str, token: str) -> None:
        place = urlsplit(url)
        assert place.hostname
        trusted = ssl.create_default_context(cafile=ca)
        self._connection = http.client.HTTPSConnection(place.hostname, place.port, context=trusted, timeout=30)
        self._token = token

    def close(self) -> None:
        self._connection.close()

    def request(self, method: str, path: str, body: Any = None, content: str = JSON, **query: str) -> Any:
        """The answer's value. Raises Refused."""
        target = path + (f"?{urlencode(query)}" if query else "")
        sent = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content}
        try:
            self._connection.request(method, target, sent, headers)
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):  # nobody asked for long, and the server hung up: it has done nothing
            self._connection.close()
            self._connection.request(method, target, sent, headers)
            answer = self._connection.getresponse()
        value = json.loads(answer.read())
        if answer.status >= 300:
            raise Refused(answer.status, value.get("message", ""))
        return value

    def get(self, manifest: Manifest) -> Any:
        return self.request("GET", path_of(manifest))

    def create(self, manifest: Manifest, manager: str) -> Any:
        return self.request("POST", path_of(manifest).rpartition("/")[0], manifest, fieldManager=manager)

    def apply(self, manifest: Manifest, manager: str = "reconciler", **query: str) -> Any:
        """A forced server-side apply, as we make it."""
        query |= {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        return self.request("PATCH", path_of(manifest), manifest, APPLY, **query)

    def dry_run(self, manifest: Manifest, live: Manifest) -> Any:
        """What an apply of ours would make of the live object."""
        body = {**manifest, "metadata": {**manifest["metadata"], "uid": live["metadata"]["uid"]}}
        return self.apply(body, dryRun="All")

    def put(self, manifest: Manifest, manager: str) -> Any:
        """A plain update of the whole object, as `kubectl edit` and `kubectl replace` make it."""
        return self.request("PUT", path_of(manifest), manifest, fieldManager=manager)

    def merge(self, manifest: Manifest, patch: Any, manager: str, subresource: str = "") -> Any:
        """A plain update of some fields."""
        return self.request("PATCH", path_of(manifest) + subresource, patch, MERGE, fieldManager=manager)


def path_of(manifest: Manifest) -> str:
    version, metadata = manifest["apiVersion"], manifest["metadata"]
    prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{prefix}/namespaces/{metadata['namespace']}/{PLURALS[manifest['kind']]}/{metadata['name']}"
