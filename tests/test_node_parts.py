"""Parts of the real nodes that need no nodes: images as blobs, the registry, the network's addresses, and what is said of what lacks."""

import http.client
import json
import os
import shutil
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.node import NotAvailable, start
from tools.node.layout import Image, Layer, Recipe, Store
from tools.node.network import NETS, Plan
from tools.node.registry import Registry
from tools.node.start import check_machine

pytestmark = pytest.mark.slow  # hundreds of cases: `make test` has them


def recipe(key: str, text: str = "hello") -> Recipe:
    return Recipe(key, lambda layer: layer.data("etc/greeting", text.encode()))


def test_the_same_image_is_the_same_bytes_in_another_store(tmp_path: Path) -> None:
    image = Image((recipe("a"), recipe("b", "other")), {"Entrypoint": ["/x"]})
    digests = {Store(tmp_path / name).put(image) for name in ("one", "two")}
    assert len(digests) == 1


def test_a_layer_is_made_once_for_its_key_and_again_when_its_blob_is_gone(tmp_path: Path) -> None:
    store, made = Store(tmp_path), []

    def fill(layer: Layer) -> None:
        made.append(1)
        layer.data("file", b"content")

    image = Image((Recipe("key", fill),), {})
    assert store.put(image) == store.put(image)
    assert len(made) == 1
    shutil.rmtree(store.blobs)
    store.put(image)
    assert len(made) == 2


def test_a_layer_has_parent_folders_no_times_and_each_path_once(tmp_path: Path) -> None:
    source = tmp_path / "program"
    source.write_text("#!/bin/sh\n")
    source.chmod(0o755)
    with tarfile.open(tmp_path / "layer.tar", "w") as tar:
        layer = Layer(tar)
        layer.file(source, "usr/bin/program")
        layer.data("usr/bin/program", b"other")
        layer.link("bin", "usr/bin")
    with tarfile.open(tmp_path / "layer.tar") as tar:
        found = {entry.name: (entry.isdir(), oct(entry.mode), entry.mtime) for entry in tar}
    expected = {
        "usr": (True, "0o755", 0),
        "usr/bin": (True, "0o755", 0),
        "usr/bin/program": (False, "0o755", 0),
        "bin": (False, "0o777", 0),
    }
    assert found == expected


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    store = Store(tmp_path)
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"ghcr.io/owner/name:1": store.put(Image((recipe("a"),), {}))}))
    with Registry("127.0.0.1", 0, store.blobs, names) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(registry: Registry, path: str) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", registry.server_address[1], timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def test_an_image_is_found_by_registry_name_and_tag_and_its_blobs_by_digest(registry: Registry) -> None:
    status, body, headers = ask(registry, "/v2/owner/name/manifests/1?ns=ghcr.io")
    manifest = json.loads(body)
    assert (status, headers["Content-Type"]) == (200, manifest["mediaType"])
    for part in (manifest["config"], *manifest["layers"]):
        status, body, _ = ask(registry, f"/v2/owner/name/blobs/{part['digest']}?ns=ghcr.io")
        assert (status, len(body)) == (200, part["size"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/", 200),
        ("/v2/owner/name/manifests/2?ns=ghcr.io", 404),
        ("/v2/owner/name/manifests/1?ns=docker.io", 404),
        ("/v2/owner/name/blobs/sha256:00?ns=ghcr.io", 404),
        ("/v2/denied/name/manifests/1?ns=ghcr.io", 401),
        ("/v2/broken/name/manifests/1?ns=ghcr.io", 500),
        ("/token?scope=repository:denied/name:pull", 401),
        ("/elsewhere", 404),
    ],
)
def test_what_is_not_there_or_fails_on_purpose(registry: Registry, path: str, status: int) -> None:
    assert ask(registry, path)[0] == status


def test_who_is_refused_is_told_where_tokens_are(registry: Registry) -> None:
    _, _, headers = ask(registry, "/v2/denied/name/manifests/1?ns=ghcr.io")
    assert headers["WWW-Authenticate"].startswith(f'Bearer realm="{registry.token_url}"')


def test_no_two_networks_share_an_address() -> None:
    ours = [Plan(net).ours for net in NETS]
    assert not any(one.overlaps(other) for number, one in enumerate(ours) for other in ours[:number])


def test_without_root_it_is_said_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotAvailable, match="need Linux and root"):
        check_machine()


def test_tools_that_are_not_there_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotAvailable, match="ip, nsenter, unshare, setpriv, mount, bash not found"):
        check_machine()


def test_a_folder_too_deep_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="60 characters at most"):
        start(tmp_path / ("x" * 60))
