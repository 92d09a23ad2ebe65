"""Gateway states for tests: small ones by hand, and arbitrary ones by hypothesis."""

from hypothesis import strategies as st

from reconciler.desired import TargetSpec
from reconciler.resource import Mark, ResourceKey
from reconciler.targets.envoy.clusters import BALANCING
from reconciler.targets.envoy.manifest import BackendRef, CredentialRow, KeyManifest, RouteManifest
from reconciler.targets.envoy.settings import GatewaySettings
from reconciler.targets.envoy.state import KeyEntry, RouteEntry, State
from reconciler.targets.envoy.xds import Place
from reconciler.targets.protocol import Claim

CLAIM = Claim("default", "root")
SPEC = TargetSpec("public", "envoy", {"listen": {"address": "127.0.0.1", "port": 8080}}, ("lab",), source="gateway.yaml:1")
SETTINGS = GatewaySettings("public", "gateway", True, "127.0.0.1", 8080, 10 * 2**20, 0)
PLACE = Place("/srv/gateway", "/srv/gateway/admin.sock")
PATHS = ("GET /v1/models", "POST /v1/chat/completions", "POST /v1/embeddings")


def workload(name: str, cluster: str = "lab") -> ResourceKey:
    return ResourceKey(cluster, "ServeApplication", *name.split("/"))


def mark(owner: str) -> Mark:
    return Mark(CLAIM.instance, CLAIM.repo, owner, "sha256:0")


def route(
    name: str, *models: str, prefix: str = "", strategy: str = "round-robin", paused: bool = False, cluster: str = "lab"
) -> RouteManifest:
    ws = name.split("/", maxsplit=1)[0]
    backends = () if paused else (BackendRef(workload(name, cluster), prefix),)
    served = models[0] if models else ""
    return RouteManifest((name, *models), served, PATHS, backends, strategy, 300.0, paused, ("*", f"ep:{name}", f"ws:{ws}"))


def entry(name: str, *models: str, hosts: tuple[str, ...] = ("127.0.0.1:1",), **fields: object) -> RouteEntry:
    manifest = route(name, *models, **fields)  # type: ignore[arg-type]
    return RouteEntry(mark(f"Endpoint/{name}"), manifest, tuple((key, hosts) for key in manifest.needs))


def key(name: str, *rows: tuple[str, str, str], grants: tuple[str, ...] = ()) -> KeyEntry:
    ws = name.split("/", maxsplit=1)[0]
    return KeyEntry(mark(f"ApiKey/{name}"), KeyManifest(ws, tuple(CredentialRow(*row) for row in rows), grants or (f"ws:{ws}",)))


def example() -> State:
    """Every construct once: Ray's prefix, aliases with any letters, a pause, no replica, names to resolve, drains, an expiring key."""
    left = workload("team-a/moved", "old")
    moved = entry("team-a/moved", hosts=("10.0.3.7:8000", "10.0.4.2:8000"), strategy="least-request")
    gone = entry("team-b/gone")
    return State(
        CLAIM,
        {
            "team-a/chat": entry("team-a/chat", "Qwen3:8B", 'odd "name" \\ \u00e9\n', hosts=("127.0.0.1:30001",), prefix="/team-a/chat"),
            "team-a/moved": RouteEntry(moved.mark, moved.manifest, (*moved.addresses, (left, ("10.0.0.1:1",))), ((left, None),)),
            "team-b/external": entry("team-b/external", hosts=("replicas.example:8000", "[::1]:9000"), strategy="random"),
            "team-b/off": entry("team-b/off", paused=True),
            "team-b/empty": entry("team-b/empty", hosts=(), strategy="power-of-two"),
            "team-b/gone": RouteEntry(gone.mark, gone.manifest, (), ((workload("team-b/gone"), 1700000000.5),), withdrawn=True),
        },
        {
            "team-a/ci": key("team-a/ci", ("aaaaaaaaaa", "a" * 64, ""), ("aaaaaaaaaa", "b" * 64, "2027-01-01T00:00:00Z")),
            "team-b/bob": key("team-b/bob", ("bbbbbbbbbb", "c" * 64, ""), grants=("ep:team-a/chat", "ws:team-b")),
        },
    )


names = st.sampled_from(["team-a/chat", "team-a/embed", "team-b/chat", "team-b/x.y"])
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
hosts = st.lists(st.sampled_from(["127.0.0.1:1", "10.0.0.2:80", "name.example:9", "[::1]:5"]), max_size=3, unique=True).map(tuple)


@st.composite
def entries(draw: st.DrawFn, name: str) -> RouteEntry:
    found = entry(name, *draw(st.lists(texts, max_size=2)), hosts=draw(hosts), strategy=draw(st.sampled_from(sorted(BALANCING))))
    drains = draw(
        st.lists(st.tuples(st.sampled_from([workload(name, "old"), workload(name, "older")]), st.none() | st.floats(0, 1e10)), max_size=2)
    )
    return RouteEntry(
        found.mark, found.manifest, found.addresses, tuple(dict(drains).items()), draw(st.integers(0, 5)), draw(st.booleans())
    )


@st.composite
def states(draw: st.DrawFn) -> State:
    routes = {name: draw(entries(name)) for name in draw(st.sets(names))}
    keys = {name: key(name, ("id", "d" * 64, "")) for name in draw(st.sets(names, max_size=1))}
    return State(CLAIM, routes, keys, {"xds/rds.json": "sha256:1"}, "sha256:2")
