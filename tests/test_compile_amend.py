"""A commit that changes little is compiled from the one before, and the result is the one that compiling all of it gives.

Random histories of a repo with two kinds of clusters: whatever a commit does, either the short way declines, or it equals the long one.
"""

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from declarations_text import CHAT, CLUSTER, KEY, REGISTRY, TEAM
from kubernetes_text import CLUSTER_K8S, GATEWAY_K8S, LLAMA_K8S

from reconciler.compile import compile_declarations
from reconciler.compile.amend import amend, leans_on_memory
from reconciler.compile.source import EngineSchemas
from reconciler.desired import Desired, Remembered
from reconciler.repo.amended import amendment
from reconciler.repo.memory import MemorySource
from reconciler.repo.read import files_of, read_repo
from reconciler.repo.snapshot import Snapshot

ARGUMENTS = {"ctx_size": {"type": "integer"}, "embedding": {"type": "boolean"}}  # the whole table would be most of the time
SCHEMAS: EngineSchemas = {
    "builtin:engines/llama.cpp-b11549.json": {"additionalProperties": False, "properties": ARGUMENTS, "x-model": "file"}
}


def compiled(snapshot: Snapshot, remembered: Remembered) -> Desired:
    return compile_declarations(snapshot, remembered, SCHEMAS)


def document(text: str) -> str:
    return "apiVersion: reconciler.dev/v1alpha1\n" + text.strip("\n") + "\n"


def endpoint(name: str, cluster: str = "lab", **spec: object) -> str:
    text = CHAT.replace("name: chat", f"name: {name}").replace("cluster: lab", f"cluster: {cluster}")
    return document(text + "".join(f"  {field}: {value}\n" for field, value in spec.items()))


def key(opens: str) -> str:
    return document(KEY.replace("owner:", f"{opens}, owner:" if opens else "owner:"))


BASE = {
    "engines.yaml": document(LLAMA_K8S),
    "clusters.yaml": document(CLUSTER) + "---\n" + document(CLUSTER_K8S.replace("{claim: weights}", "{size: 1Gi}")),
    "gateway.yaml": document(GATEWAY_K8S),  # none for `lab`: a warning for each endpoint there
    "team.yaml": document(TEAM) + "---\n" + document(REGISTRY),
    "one.yaml": endpoint("one"),
    "two.yaml": endpoint("two", "east", replicas=2) + "---\n" + endpoint("three", "east"),
}


@dataclass
class History:
    """A repo, and what its last commit compiled to, by the way that commands take. ways: how often each was taken."""

    source: MemorySource = field(default_factory=MemorySource)
    before: Desired | None = None
    listed: dict[str, str] = field(default_factory=dict)
    ways: Counter[str] = field(default_factory=Counter)

    def commit(self, files: dict[str, str]) -> str:
        """Compile it both ways. Raises AssertionError where they differ."""
        self.source.commit(files)
        revision = self.source.revision()
        listing = files_of(self.source, revision)
        whole = compiled(read_repo(self.source, {}), Remembered())
        part = None
        if self.before is not None and not leans_on_memory(self.before):
            changes = amendment(self.source, revision, listing, self.listed, self.before.declared)
            part = amend(self.before, changes.snapshot, changes.changed, compiled) if changes else None
        if part is not None:
            assert part == whole
            assert list(part.resources) == list(whole.resources)
            assert (list(part.owners), list(part.aliases), list(part.declared)) == (
                list(whole.owners),
                list(whole.aliases),
                list(whole.declared),
            )
        self.before, self.listed = whole, {file.path: file.blob for file in listing}
        way = "amended" if part is not None else "wrong" if leans_on_memory(whole) else "whole"
        self.ways[way] += 1
        return way


CHANGES: dict[str, tuple[dict[str, str], str]] = {  # what a commit changes of BASE -> which way it is compiled
    "replicas": ({"two.yaml": endpoint("two", "east", replicas=5) + "---\n" + endpoint("three", "east")}, "amended"),
    "fewer kinds of objects": ({"two.yaml": endpoint("two", "east") + "---\n" + endpoint("three", "east")}, "amended"),
    "paused": ({"one.yaml": endpoint("one", paused="true")}, "amended"),
    "a comment": ({"one.yaml": "# mine\n" + endpoint("one")}, "amended"),
    "a new endpoint": ({"four.yaml": endpoint("four", "east")}, "amended"),
    "a new endpoint in a known file": ({"one.yaml": endpoint("one") + "---\n" + endpoint("four")}, "amended"),
    "to another cluster": ({"one.yaml": endpoint("one", "east")}, "amended"),
    "the last of its namespace leaves": ({"two.yaml": endpoint("two", "lab") + "---\n" + endpoint("three", "lab")}, "amended"),
    "an endpoint less": ({"two.yaml": endpoint("two", "east", replicas=2)}, "whole"),
    "a file less": ({"one.yaml": ""}, "whole"),
    "a cluster": ({"clusters.yaml": BASE["clusters.yaml"].replace("drainSeconds: 5", "drainSeconds: 6")}, "whole"),
    "a key": ({"keys.yaml": document(KEY)}, "whole"),
    "a mistake": ({"one.yaml": endpoint("one", replicas="x")}, "wrong"),
    "an unknown cluster": ({"one.yaml": endpoint("one", "west")}, "wrong"),
    "no YAML": ({"one.yaml": "{"}, "wrong"),
    "declared twice": ({"four.yaml": endpoint("two", "east")}, "wrong"),
    "declared twice in one file": ({"one.yaml": endpoint("one") + "---\n" + endpoint("one")}, "wrong"),
    "a name that another has": (
        {"one.yaml": endpoint("one").replace("file: smollm2.gguf", "file: a.gguf, servedName: team-a/two")},
        "wrong",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_commit_that_changes_endpoints_alone_is_compiled_from_the_one_before(what: str) -> None:
    changes, way = CHANGES[what]
    history = History()
    assert history.commit(BASE) == "whole"

    assert history.commit({path: text for path, text in (BASE | changes).items() if text}) == way


def test_where_something_was_wrong_before_everything_is_compiled() -> None:
    history = History()
    history.commit(BASE | {"one.yaml": endpoint("one", "west")})

    assert history.commit(BASE) == "whole"


def test_keys_and_the_names_that_they_open_stay() -> None:
    opens = key("models: [team-a/one, fast]")
    served = endpoint("one").replace("file: smollm2.gguf", "file: smollm2.gguf, servedName: fast")
    history = History()
    assert history.commit(BASE | {"keys.yaml": opens, "one.yaml": served}) == "whole"
    assert history.commit(BASE | {"keys.yaml": opens, "one.yaml": served + "  replicas: 2\n"}) == "amended"
    # the name that the key opens goes: the key is wrong now, and only a whole compile sees it
    assert history.commit(BASE | {"keys.yaml": opens, "one.yaml": endpoint("one", replicas=2)}) == "wrong"


def anything(dice: random.Random, files: dict[str, str]) -> None:
    """One change of a repo: mostly of endpoints, sometimes of what they stand on, sometimes a mistake."""
    path = dice.choice(["one.yaml", "two.yaml", "three.yaml", "four.yaml"])
    mine = {"one.yaml": ["one"], "two.yaml": ["two", "three"], "three.yaml": ["five"], "four.yaml": ["four", "six"]}[path]
    names = mine if dice.random() < 0.9 else ["three", "four"]
    specs: list[dict[str, object]] = [{}, {"replicas": dice.randint(1, 3)}, {"paused": "true"}, {"protect": "true"}]
    kind = dice.randrange(12)
    if kind == 0:
        files["clusters.yaml"] = BASE["clusters.yaml"].replace("drainSeconds: 5", f"drainSeconds: {dice.randint(5, 7)}")
    elif kind == 1:
        files.pop(path, None)
    elif kind == 2:
        files["keys.yaml"] = key(dice.choice(["", "models: [fast]", "endpoints: [one]"]))
    elif kind == 3 and path in files:
        files[path] += "# a comment\n"
    else:
        served = dice.choice(["", "", ", servedName: fast", ", servedName: team-a/two"])
        cluster = dice.choice(["lab", "east", "east", "west" if kind == 4 else "lab"])
        texts = [
            endpoint(name, cluster, **dice.choice(specs)).replace("file: smollm2.gguf", f"file: smollm2.gguf{served}") for name in names
        ]
        files[path] = "---\n".join(texts)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_history_does_both_ways_agree(seed: int) -> None:
    dice, files, history = random.Random(seed), dict(BASE), History()
    for _ in range(60):
        good = dict(files)
        anything(dice, files)
        while history.commit(files) == "wrong":
            if dice.random() < 0.7:
                files = dict(good)  # somebody reverts it
            else:
                anything(dice, files)

    assert history.ways["amended"] >= 5, history.ways
