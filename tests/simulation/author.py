"""People: each edit is one plausible commit to the config repo, made from a random source and nothing else.

An edit returns None where it makes no sense now (nothing to remove); the author then tries another one.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final

from tests.simulation.declared import (
    BREAKAGES,
    CLUSTERS,
    ENGINE,
    GATEWAYS,
    WORKSPACES,
    Cluster,
    Document,
    Endpoint,
    Engine,
    Gateway,
    Key,
    Registry,
    Repo,
    Settings,
    Workspace,
)

PATHS: Final = ("endpoints/a.yaml", "endpoints/b.yaml", "team/c.yaml", "d.yaml")
NAMES: Final = ("chat", "embed", "code", "rank", "draw", "talk")
Edit = Callable[[Repo, Random], "Repo | None"]


def first_repo(random: Random, instance: str, endpoints: int) -> Repo:
    """What a team starts with."""
    repo = Repo()
    clusters = CLUSTERS[: random.randint(1, 3)]
    gateways = GATEWAYS[: random.randint(1, 2)]
    repo = repo.put(Settings(instance), "settings.yaml").put(Workspace("team-a"), "settings.yaml")
    for cluster in clusters:
        repo = repo.put(Cluster(cluster), "targets.yaml" if random.random() < 0.5 else f"clusters/{cluster}.yaml")
    for gateway in gateways:
        repo = repo.put(Gateway(gateway, clusters), "targets.yaml" if random.random() < 0.5 else f"gateways/{gateway}.yaml")
    repo = repo.put(Engine(), "engine.yaml").put(Registry(), "engine.yaml")
    for _ in range(endpoints):
        repo = add_endpoint(repo, random) or repo
    return add_key(repo, random) or repo


def _pick(random: Random, documents: list[Document]) -> Document | None:
    return random.choice(documents) if documents else None


def _names(repo: Repo, kind: type[Document]) -> list[str]:
    return [document.id.split("/", 1)[1] for document in repo.of(kind)]


def add_endpoint(repo: Repo, random: Random) -> Repo | None:
    free = [(w, n) for w in WORKSPACES for n in NAMES if f"Endpoint/{w}/{n}" not in repo.documents]
    pairs = _pairs(repo)
    if not free or not pairs:
        return None
    (workspace, name), (gateway, cluster) = random.choice(free), random.choice(pairs)
    mood = random.choices(("", "slow", "crash"), (8, 1, 1))[0]
    made = Endpoint(workspace, name, cluster, gateway, random.randint(1, 3), protect=random.random() < 0.15, mood=mood)
    return repo.put(replace(made, paused=random.random() < 0.05), random.choice(PATHS))


def _pairs(repo: Repo) -> list[tuple[str, str]]:
    """Gateways with the clusters that they route to, as far as these are declared."""
    found = [(one.name, cluster) for one in repo.of(Gateway) if isinstance(one, Gateway) for cluster in one.clusters]
    return [(gateway, cluster) for gateway, cluster in found if f"Cluster/{cluster}" in repo.documents]


def _change(repo: Repo, random: Random, **fields: object) -> Repo | None:
    found = _pick(random, list(repo.endpoints()))
    return repo.put(replace(found, **fields)) if found else None  # type: ignore[type-var]


def scale_endpoint(repo: Repo, random: Random) -> Repo | None:
    return _change(repo, random, replicas=random.randint(1, 4))


def retime_route(repo: Repo, random: Random) -> Repo | None:
    return _change(repo, random, timeout=random.choice((60, 120, 300)))


def restart_endpoint(repo: Repo, random: Random) -> Repo | None:
    return _change(repo, random, restarted=random.randint(1, 9), context=random.choice((1024, 2048, 4096)))


def change_mood(repo: Repo, random: Random) -> Repo | None:
    return _change(repo, random, mood=random.choice(("", "", "slow", "crash")))


def pause_endpoint(repo: Repo, random: Random) -> Repo | None:
    return _change(repo, random, paused=True)


def resume_endpoint(repo: Repo, random: Random) -> Repo | None:
    found = [one for one in repo.endpoints() if one.paused]
    return repo.put(replace(random.choice(found), paused=False)) if found else None


def protect_endpoint(repo: Repo, random: Random) -> Repo | None:
    return _change(repo, random, protect=random.random() < 0.5)


def migrate_endpoint(repo: Repo, random: Random) -> Repo | None:
    found = _pick(random, list(repo.endpoints()))
    if not isinstance(found, Endpoint):
        return None
    pairs = [(g, c) for g, c in _pairs(repo) if c != found.cluster and g == found.gateway]
    return repo.put(replace(found, cluster=random.choice(pairs)[1])) if pairs else None


def change_gateway(repo: Repo, random: Random) -> Repo | None:
    found = _pick(random, list(repo.endpoints()))
    if not isinstance(found, Endpoint):
        return None
    pairs = [(g, c) for g, c in _pairs(repo) if c == found.cluster and g != found.gateway]
    return repo.put(replace(found, gateway=random.choice(pairs)[0])) if pairs else None


def remove_endpoint(repo: Repo, random: Random) -> Repo | None:
    found = _pick(random, list(repo.endpoints()))
    return repo.drop(found.id) if found else None


def remove_many_endpoints(repo: Repo, random: Random) -> Repo | None:
    found = repo.endpoints()
    if len(found) < 2:
        return None
    for one in random.sample(found, random.randint(2, len(found))):
        repo = repo.drop(one.id)
    return repo


def restart_many_endpoints(repo: Repo, random: Random) -> Repo | None:
    found = repo.endpoints()
    for one in random.sample(found, random.randint(min(2, len(found)), len(found))):
        repo = repo.put(replace(one, restarted=one.restarted + 1))
    return repo if found else None


def pause_many_endpoints(repo: Repo, random: Random) -> Repo | None:
    found = repo.endpoints()
    for one in random.sample(found, random.randint(min(2, len(found)), len(found))):
        repo = repo.put(replace(one, paused=True))
    return repo if found else None


def add_cluster(repo: Repo, random: Random) -> Repo | None:
    free = [name for name in CLUSTERS if f"Cluster/{name}" not in repo.documents]
    if not free:
        return None
    name = random.choice(free)
    repo = repo.put(Cluster(name), f"clusters/{name}.yaml")
    for gateway in repo.of(Gateway):
        if isinstance(gateway, Gateway) and name not in gateway.clusters:
            repo = repo.put(replace(gateway, clusters=(*gateway.clusters, name)))
    return repo


def remove_cluster(repo: Repo, random: Random) -> Repo | None:
    """Endpoints on it are moved, removed or forgotten; gateways mostly corrected."""
    found = _pick(random, repo.of(Cluster))
    if not isinstance(found, Cluster):
        return None
    repo = repo.drop(found.id)
    corrected = random.random() < 0.85
    for gateway in repo.of(Gateway):
        if isinstance(gateway, Gateway) and corrected and found.name in gateway.clusters and len(gateway.clusters) > 1:
            repo = repo.put(replace(gateway, clusters=tuple(one for one in gateway.clusters if one != found.name)))
    for one in repo.endpoints():
        others = [c for g, c in _pairs(repo) if g == one.gateway]
        fate = random.random()
        if one.cluster == found.name and fate < 0.6 and others:
            repo = repo.put(replace(one, cluster=random.choice(others)))
        elif one.cluster == found.name and fate < 0.9:
            repo = repo.drop(one.id)
    return repo


def add_gateway(repo: Repo, random: Random) -> Repo | None:
    free = [name for name in GATEWAYS if f"Gateway/{name}" not in repo.documents]
    clusters = tuple(_names(repo, Cluster))
    return repo.put(Gateway(free[0], clusters), f"gateways/{free[0]}.yaml") if free and clusters else None


def remove_gateway(repo: Repo, random: Random) -> Repo | None:
    found = _pick(random, repo.of(Gateway))
    if not isinstance(found, Gateway):
        return None
    repo = repo.drop(found.id)
    rest = _names(repo, Gateway)
    for one in repo.endpoints():
        fate = random.random()
        if one.gateway == found.name and fate < 0.6 and rest:
            repo = repo.put(replace(one, gateway=rest[0]))
        elif one.gateway == found.name and fate < 0.9:
            repo = repo.drop(one.id)
    return repo


def redraw_gateway(repo: Repo, random: Random) -> Repo | None:
    found = _pick(random, repo.of(Gateway))
    return repo.put(replace(found, port=random.randint(8000, 8010))) if isinstance(found, Gateway) else None


def redrain_cluster(repo: Repo, random: Random) -> Repo | None:
    found = _pick(random, repo.of(Cluster))
    return repo.put(replace(found, drain=random.choice((10, 30, 60)))) if isinstance(found, Cluster) else None


def change_engine(repo: Repo, random: Random) -> Repo | None:
    """A new command line for every endpoint: all would restart."""
    return repo.put(Engine(random.randint(0, 3)), "engine.yaml") if ENGINE in repo.documents else None


def add_key(repo: Repo, random: Random) -> Repo | None:
    number = random.randint(1, 5)
    workspace = random.choice(WORKSPACES)
    names = [one.name for one in repo.endpoints() if one.workspace == workspace]
    opens = tuple(random.sample(names, 1)) if names and random.random() < 0.3 else None
    key = Key(workspace, f"user{number}", endpoints=opens)
    return None if key.id in repo.documents else repo.put(key, "keys.yaml")


def rotate_key(repo: Repo, random: Random) -> Repo | None:
    found = _pick(random, list(repo.api_keys()))
    return repo.put(replace(found, secret=random.randint(1, 99))) if isinstance(found, Key) else None


def remove_key(repo: Repo, random: Random) -> Repo | None:
    found = _pick(random, list(repo.api_keys()))
    return repo.drop(found.id) if found else None


def remove_every_key(repo: Repo, random: Random) -> Repo | None:
    for key in repo.api_keys():
        repo = repo.drop(key.id)
    return repo


def loosen_guards(repo: Repo, random: Random) -> Repo | None:
    """Often in the very commit that would need it."""
    found = repo.settings()
    if found is None:
        return None
    repo = repo.put(replace(found, deletes=100, restarts=100, keys=100))
    return remove_many_endpoints(repo, random) or repo if random.random() < 0.5 else repo


def tighten_guards(repo: Repo, random: Random) -> Repo | None:
    found = repo.settings()
    return repo.put(replace(found, deletes=20, restarts=50, keys=20)) if found else None


def change_drift(repo: Repo, random: Random) -> Repo | None:
    if random.random() < 0.5:
        return _change(repo, random, drift=random.choice(("", "heal", "report", "off")))
    found = repo.settings()
    return repo.put(replace(found, drift=random.choice(("heal", "heal", "report", "off")))) if found else None


def empty_repo(repo: Repo, random: Random) -> Repo | None:
    """Everything, or every endpoint."""
    if random.random() < 0.4:
        return Repo(files={"README.md": ()})
    for one in repo.endpoints():
        repo = repo.drop(one.id)
    return repo


def move_document(repo: Repo, random: Random) -> Repo | None:
    """Into another file, sometimes broken on the way."""
    if not repo.documents:
        return None
    id_ = random.choice(sorted(repo.documents))
    moved = repo.move(id_, random.choice(PATHS))
    return _break(moved, random, [id_]) if random.random() < 0.2 else moved


def move_file(repo: Repo, random: Random) -> Repo | None:
    found = sorted(repo.files)
    if not found:
        return None
    old = random.choice(found)
    new = f"moved/{random.randint(1, 9)}.yaml"
    files = {new if path == old else path: ids for path, ids in repo.files.items()}
    return replace(repo, files=files) if new not in repo.files else None


def break_endpoint(repo: Repo, random: Random) -> Repo | None:
    return _break(repo, random, [one.id for one in repo.endpoints()])


def break_key(repo: Repo, random: Random) -> Repo | None:
    return _break(repo, random, [one.id for one in repo.api_keys()])


def break_target(repo: Repo, random: Random) -> Repo | None:
    return _break(repo, random, [one.id for one in (*repo.of(Cluster), *repo.of(Gateway))])


def break_shared(repo: Repo, random: Random) -> Repo | None:
    """Engine, registry or workspace: everything that refers to it."""
    return _break(repo, random, [one.id for one in (*repo.of(Engine), *repo.of(Registry), *repo.of(Workspace))])


def break_settings(repo: Repo, random: Random) -> Repo | None:
    return _break(repo, random, [one.id for one in repo.of(Settings)])


def _break(repo: Repo, random: Random, ids: list[str]) -> Repo | None:
    return replace(repo, wrong={**repo.wrong, random.choice(ids): random.choice(BREAKAGES)}) if ids else None


def misrefer_endpoint(repo: Repo, random: Random) -> Repo | None:
    return _change(repo, random, **{random.choice(("cluster", "gateway")): "nowhere"})


def tear_file(repo: Repo, random: Random) -> Repo | None:
    """A merge gone wrong: nothing in the file can be read."""
    paths = [path for path, ids in sorted(repo.files.items()) if ids]
    ids = repo.files[random.choice(paths)] if paths else ()
    return replace(repo, wrong={**repo.wrong, **dict.fromkeys(ids, "torn")})


def mend(repo: Repo, random: Random) -> Repo | None:
    """Somebody corrects one mistake."""
    if repo.wrong:
        cured = random.choice(sorted(repo.wrong))
        together = {cured} if random.random() < 0.6 else set(repo.files[repo.path_of(cured)])
        return replace(repo, wrong={id_: how for id_, how in repo.wrong.items() if id_ not in together})
    return mend_references(repo, random)


def mend_references(repo: Repo, random: Random) -> Repo | None:
    pairs = _pairs(repo)
    for one in repo.endpoints():
        if pairs and (one.gateway, one.cluster) not in pairs:
            same = [pair for pair in pairs if pair[0] == one.gateway or pair[1] == one.cluster] or pairs
            gateway, cluster = random.choice(same)
            repo = repo.put(replace(one, gateway=gateway, cluster=cluster))
    return repo


def mend_everything(repo: Repo, random: Random) -> Repo:
    """The day on which somebody cleans up: nothing is broken any more, and nothing crashes."""
    repo = replace(repo, wrong={})
    for document in (Workspace("team-a"), Engine(), Registry()):
        repo = repo if document.id in repo.documents else repo.put(document, "mended.yaml")
    declared = tuple(_names(repo, Cluster))
    for gateway in repo.of(Gateway):
        if isinstance(gateway, Gateway):
            kept = tuple(one for one in gateway.clusters if one in declared) or declared
            repo = repo.put(replace(gateway, clusters=kept)) if kept else repo.drop(gateway.id)
    repo = mend_references(repo, random) or repo
    pairs = _pairs(repo)
    for one in repo.endpoints():
        whole = (one.gateway, one.cluster) in pairs
        repo = repo.put(replace(one, mood="" if one.mood == "crash" else one.mood)) if whole else repo.drop(one.id)
    for key in repo.api_keys():
        names = {one.name for one in repo.endpoints() if one.workspace == key.workspace}
        if key.endpoints is not None and set(key.endpoints) - names:
            repo = repo.put(replace(key, endpoints=None))
    return repo


EDITS: Final[tuple[tuple[Edit, int], ...]] = (
    (add_endpoint, 10),
    (scale_endpoint, 5),
    (retime_route, 4),
    (restart_endpoint, 5),
    (change_mood, 4),
    (pause_endpoint, 4),
    (resume_endpoint, 4),
    (protect_endpoint, 4),
    (migrate_endpoint, 6),
    (change_gateway, 3),
    (remove_endpoint, 7),
    (remove_many_endpoints, 3),
    (restart_many_endpoints, 3),
    (pause_many_endpoints, 2),
    (add_cluster, 2),
    (remove_cluster, 2),
    (add_gateway, 2),
    (remove_gateway, 1),
    (redraw_gateway, 1),
    (redrain_cluster, 1),
    (change_engine, 2),
    (add_key, 4),
    (rotate_key, 2),
    (remove_key, 3),
    (remove_every_key, 1),
    (loosen_guards, 2),
    (tighten_guards, 1),
    (change_drift, 2),
    (empty_repo, 1),
    (move_document, 4),
    (move_file, 2),
    (break_endpoint, 4),
    (break_key, 2),
    (break_target, 2),
    (break_shared, 2),
    (break_settings, 2),
    (misrefer_endpoint, 2),
    (tear_file, 4),
    (mend, 9),
)


def edit(repo: Repo, random: Random) -> tuple[str, Repo]:
    """One commit: its name and its content."""
    while True:
        (made,) = random.choices([one for one, _ in EDITS], [weight for _, weight in EDITS])
        changed = made(repo, random)
        if changed is not None and changed != repo:
            return made.__name__, changed
