"""What a commit renders to, as the bodies that our writer sends: peers are given the very same, and nothing to do but send them."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from reconciler.cli.options import Where
from reconciler.cli.passes import given
from reconciler.cli.sources import source_of
from reconciler.desired import Desired, Remembered
from reconciler.given import desired_of
from reconciler.resource import Json, Resource
from reconciler.targets.kubernetes.address import address_of
from reconciler.targets.kubernetes.inventory import NEW, ApplySet
from reconciler.targets.kubernetes.kinds import MANAGER, path_of
from reconciler.targets.kubernetes.mark import marked
from reconciler.targets.kubernetes.settings import settings_of
from reconciler.targets.protocol import Claim
from reconciler.targets.registry import rules_of

QUERY: Final = f"fieldManager={MANAGER}&force=true&fieldValidation=Strict"

Stages: TypeAlias = Sequence[Sequence[str]]  # what the raw client sends: a stage begins when the one before is answered


@dataclass(frozen=True, slots=True)
class Body:
    """One object: where it is applied, and what."""

    path: str
    document: Mapping[str, Json]


def bodies_of(repo: Path, cluster: str, scratch: Path) -> list[Body]:
    """Everything that the head of this repo wants on this cluster, in the order of our writing (namespaces first). scratch: removed."""
    where = Where(str(repo), "main", scratch)
    with source_of(None, where) as source, given(where, source, who="bench", write=False) as ready:
        desired = desired_of(ready, Remembered())
    shutil.rmtree(scratch)
    return _bodies(desired, cluster)


def _bodies(desired: Desired, cluster: str) -> list[Body]:
    settings, claim = settings_of(desired.targets[cluster]), Claim(desired.instance, desired.repo)
    applyset = ApplySet(settings, claim)
    ranks = rules_of(desired.targets[cluster].type).ranks

    def place(resource: Resource) -> tuple[int, str]:
        return next(n for n, kinds in enumerate(ranks) if resource.key.kind in kinds), str(resource.key)

    return [
        Body(
            path_of(*address_of(settings, one.key)),
            marked(one.manifest, one.mark(claim.instance, claim.repo), applyset.id),
        )
        for one in sorted(desired.resources.values(), key=place)
    ]


def as_one_file(bodies: Sequence[Body], file: Path) -> None:
    """As people give them to kubectl: one file, a document each."""
    file.write_text("\n---\n".join(json.dumps(body.document) for body in bodies))


def as_folder(bodies: Sequence[Body], folder: Path) -> None:
    """As kubectl can be quicker: a file each, for `--concurrency` counts files. Names keep the order."""
    folder.mkdir()
    for number, body in enumerate(bodies):
        (folder / f"{number:06}.json").write_text(json.dumps(body.document))


def as_requests(bodies: Sequence[Body]) -> Stages:
    """As the raw client sends them, namespaces first. Each makes a new object, as our creates do."""
    stages: tuple[list[str], list[str]] = ([], [])
    for body in bodies:
        metadata = body.document["metadata"]
        assert isinstance(metadata, Mapping)
        new = {**body.document, "metadata": {**metadata, "resourceVersion": NEW}}
        stages[body.document["kind"] != "Namespace"].append(line("PATCH", f"{body.path}?{QUERY}", "apply-patch+yaml", new))
    return stages


def line(method: str, target: str, content: str, document: object) -> str:
    """One request of the raw client."""
    return f"{method}\t{target}\tapplication/{content}\t{json.dumps(document)}"
