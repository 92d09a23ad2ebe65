"""What is declared, as a history believes it: documents as values, independent of everything that the reconciler makes of them.

A `Repo` is one revision's content. The YAML is made from it, so that the invariants can ask it instead of the code under test.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import Final

CLUSTERS: Final = ("east", "west", "lab")
GATEWAYS: Final = ("front", "back")
ENGINE: Final = "Engine/llama"
REGISTRY: Final = "ModelRegistry/disk"
SETTINGS: Final = "Settings"
WORKSPACES: Final = ("default", "team-a")

HEAD: Final = "apiVersion: reconciler.dev/v1alpha1\nkind: {kind}\nmetadata: {{{metadata}}}\nspec:\n"
BREAKAGES: Final = ("field", "value", "torn")  # torn: no YAML, so that not even its name can be read


@dataclass(frozen=True)
class Document:
    @property
    def id(self) -> str:
        raise NotImplementedError

    def text(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class Settings(Document):
    name: str = "prod"
    deletes: int = 20
    restarts: int = 50
    keys: int = 20
    drift: str = "heal"

    @property
    def id(self) -> str:
        return f"Settings/{self.name}"

    def text(self) -> str:
        guards = f"{{maxDeletes: {self.deletes}%, maxRestarts: {self.restarts}%, maxKeyRemovals: {self.keys}%}}"
        return HEAD.format(kind="Settings", metadata=f"name: {self.name}") + f"  guards: {guards}\n  drift: {self.drift}\n"


@dataclass(frozen=True)
class Workspace(Document):
    name: str

    @property
    def id(self) -> str:
        return f"Workspace/{self.name}"

    def text(self) -> str:
        return HEAD.format(kind="Workspace", metadata=f"name: {self.name}") + "  displayName: Team\n"


@dataclass(frozen=True)
class Cluster(Document):
    name: str
    drain: int = 30

    @property
    def id(self) -> str:
        return f"Cluster/{self.name}"

    def text(self) -> str:
        ray = f"{{dashboardUrl: 'http://{self.name}.example.com:8265', modelRoot: /models}}"
        spec = f"  type: ray\n  ray: {ray}\n  drainSeconds: {self.drain}\n"
        return HEAD.format(kind="Cluster", metadata=f"name: {self.name}") + spec


@dataclass(frozen=True)
class Gateway(Document):
    name: str
    clusters: tuple[str, ...]
    port: int = 8080

    @property
    def id(self) -> str:
        return f"Gateway/{self.name}"

    def text(self) -> str:
        output = f"  output: {{directory: {self.name}}}\n  listen: {{port: {self.port}}}\n"
        spec = f"  type: envoy\n  clusters: [{', '.join(self.clusters)}]\n{output}"
        return HEAD.format(kind="Gateway", metadata=f"name: {self.name}") + spec


@dataclass(frozen=True)
class Engine(Document):
    flavour: int = 0

    @property
    def id(self) -> str:
        return ENGINE

    def text(self) -> str:
        places = "--model, '{{ model.path }}', --host, '{{ host }}', --port, '{{ ports.http }}'"
        version = "  - version: b1\n    argsSchema: builtin:engines/llama.cpp-b11549.json\n    paths: {metrics: /metrics}\n"
        spec = f"  versions:\n{version}    command: [llama, {places}, --flavour, '{self.flavour}']\n"
        return HEAD.format(kind="Engine", metadata="name: llama") + spec


@dataclass(frozen=True)
class Registry(Document):
    @property
    def id(self) -> str:
        return REGISTRY

    def text(self) -> str:
        return HEAD.format(kind="ModelRegistry", metadata="name: disk") + "  type: filesystem\n"


@dataclass(frozen=True)
class Endpoint(Document):
    """mood: a word of the command that the world of the memory target knows (`slow`, `crash`)."""

    workspace: str
    name: str
    cluster: str
    gateway: str
    replicas: int = 1
    context: int = 2048
    timeout: int = 300
    paused: bool = False
    protect: bool = False
    mood: str = ""
    restarted: int = 0
    drift: str = ""

    @property
    def id(self) -> str:
        return f"Endpoint/{self.workspace}/{self.name}"

    def text(self) -> str:
        note = f", annotations: {{reconciler.dev/drift: {self.drift}}}" if self.drift else ""
        extra = f", extraArgs: [{self.mood}]" if self.mood else ""
        return HEAD.format(kind="Endpoint", metadata=f"name: {self.name}, workspace: {self.workspace}{note}") + (
            f"  cluster: {self.cluster}\n  gateway: {self.gateway}\n"
            f"  model: {{registry: disk, name: tiny, version: '1', file: tiny.gguf}}\n"
            f"  engine: {{name: llama, version: b1, args: {{ctx_size: {self.context}}}{extra}}}\n"
            f"  replicas: {self.replicas}\n  routing: {{timeoutSeconds: {self.timeout}}}\n  restartedAt: '{self.restarted}'\n"
            f"  paused: {str(self.paused).lower()}\n  protect: {str(self.protect).lower()}\n"
        )


@dataclass(frozen=True)
class Key(Document):
    workspace: str
    name: str
    secret: int = 0
    endpoints: tuple[str, ...] | None = None

    @property
    def id(self) -> str:
        return f"ApiKey/{self.workspace}/{self.name}"

    def text(self) -> str:
        hashed = sha256(f"{self.id} {self.secret}".encode()).hexdigest()
        opens = "" if self.endpoints is None else f"  endpoints: [{', '.join(self.endpoints)}]\n"
        return HEAD.format(kind="ApiKey", metadata=f"name: {self.name}, workspace: {self.workspace}") + (
            f"  owner: {self.name}@example.com\n{opens}  credentials:\n  - {{id: {self.name}key, sha256: {hashed}}}\n"
        )


@lru_cache(maxsize=20_000)
def written(document: Document, wrong: str) -> str:
    """The YAML of a document; `wrong` says how it is broken."""
    text = document.text()
    if wrong == "torn":
        return "}{ <<<<<<< HEAD\n" + text
    if wrong == "field":
        return text + "  colour: blue\n"
    return text.replace("spec:\n", "spec:\n  description: [not, a, text]\n  displayName: 5\n  type: 7\n  guards: 5\n", 1) if wrong else text


@dataclass(frozen=True)
class Repo:
    """files: path -> ids in their order. wrong: id -> how it is broken."""

    files: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    documents: Mapping[str, Document] = field(default_factory=lambda: MappingProxyType({}))
    wrong: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def texts(self) -> dict[str, bytes]:
        found = {}
        for path, ids in self.files.items():
            text = "---\n".join(written(self.documents[id_], self.wrong.get(id_, "")) for id_ in ids)
            found[path] = text.encode()
        return found

    def put(self, document: Document, path: str = "") -> "Repo":
        """Add or change a document; where it already stands, it stays in its file."""
        files = dict(self.files)
        if document.id not in self.documents:
            files[path] = (*files.get(path, ()), document.id)
        wrong = {id_: how for id_, how in self.wrong.items() if id_ != document.id}
        return replace(self, files=files, documents={**self.documents, document.id: document}, wrong=wrong)

    def drop(self, id_: str) -> "Repo":
        files = {path: tuple(one for one in ids if one != id_) for path, ids in self.files.items()}
        files = {path: ids for path, ids in files.items() if ids}
        documents = {one: document for one, document in self.documents.items() if one != id_}
        return replace(self, files=files, documents=documents, wrong={one: how for one, how in self.wrong.items() if one != id_})

    def move(self, id_: str, path: str) -> "Repo":
        document, how = self.documents[id_], self.wrong.get(id_)
        moved = self.drop(id_).put(document, path)
        return replace(moved, wrong={**moved.wrong, id_: how}) if how else moved

    def of(self, kind: type[Document]) -> list[Document]:
        return [document for _, document in sorted(self.documents.items()) if isinstance(document, kind)]

    def endpoints(self) -> list[Endpoint]:
        return [document for document in self.of(Endpoint) if isinstance(document, Endpoint)]

    def api_keys(self) -> list[Key]:
        return [document for document in self.of(Key) if isinstance(document, Key)]

    def path_of(self, id_: str) -> str:
        return next(path for path, ids in self.files.items() if id_ in ids)

    def sound(self, id_: str) -> bool:
        """It is there, and valid by itself."""
        return id_ in self.documents and id_ not in self.wrong

    def complete(self, id_: str) -> bool:
        """Sound, and so is all that it refers to."""
        return self.sound(id_) and all(self.sound(one) for one in self._references(self.documents[id_]))

    def _references(self, document: Document) -> Iterator[str]:
        workspace = getattr(document, "workspace", "default")
        if workspace != "default":
            yield f"Workspace/{workspace}"
        if isinstance(document, Endpoint):
            yield from (f"Cluster/{document.cluster}", f"Gateway/{document.gateway}", ENGINE, REGISTRY)
            gateway = self.documents.get(f"Gateway/{document.gateway}")
            named = gateway.clusters if isinstance(gateway, Gateway) else ()
            yield from (f"Cluster/{name}" for name in named if self._missing(f"Cluster/{name}"))  # a broken gateway
            yield from () if document.cluster in named else ("Cluster/",)  # the gateway does not route there
        if isinstance(document, Key):
            named = tuple(f"Endpoint/{workspace}/{name}" for name in document.endpoints or ())
            yield from (id_ for id_ in named if self._missing(id_))

    def _missing(self, id_: str) -> bool:
        """Nowhere, and not in what is torn either, where it may stand."""
        return id_ not in self.documents and "torn" not in self.wrong.values()

    def settings(self) -> Settings | None:
        """None where there is none, or a broken one."""
        found = next((one for one in self.of(Settings) if self.sound(one.id)), None)
        return found if isinstance(found, Settings) else None
