"""Clusters and gateways as targets.

A broken Cluster or Gateway keeps the TargetSpec of the last applied revision, so that what runs there is still read and still served.
A cluster and a gateway share one space of names: locks, status branches and resource keys go by the target's name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.compile.clusters import settings_of
from reconciler.compile.findings import Findings
from reconciler.compile.references import Declared
from reconciler.compile.source import Declaration
from reconciler.desired import Remembered, TargetSpec
from reconciler.errors import Problem
from reconciler.resource import Json
from reconciler.schema.cluster import ClusterSpec
from reconciler.schema.gateway import GatewaySpec
from reconciler.schema.image_registry import ImageRegistrySpec

# Folders right below the state folder that are ours: a gateway that wrote there would overwrite what we remember.
OURS: Final = frozenset({"", "crashes", "git", "git-status", "local", "locks", "models", "record.json", "reconciler.sock"})


@dataclass(slots=True)
class Targets:
    """What stands in a dict here may be rendered for, the kept spec of a broken declaration too. `specs` holds both kinds."""

    clusters: dict[str, TargetSpec] = field(default_factory=dict)
    gateways: dict[str, TargetSpec] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def specs(self) -> dict[str, TargetSpec]:
        return dict(sorted({**self.gateways, **self.clusters}.items()))


def targets_of(declared: Declared, remembered: Remembered, kinds: Mapping[str, str]) -> Targets:
    """`kinds` puts another type of target in the place of a declared one (`{"ray": "memory"}`)."""
    targets = Targets()
    clusters = {found.name: (found, Findings(found)) for found in declared.of(ClusterSpec)}
    gateways = {found.name: (found, Findings(found)) for found in declared.of(GatewaySpec)}
    _check_names(clusters, gateways, remembered)
    _check_mirrors(declared, clusters.values())
    _check_gateways(declared, gateways, remembered)
    for cluster, findings in clusters.values():
        targets.clusters[cluster.name] = cluster_target(cluster, kinds)
        targets.problems += findings.problems
        declared.settle(findings)
    for gateway, findings in gateways.values():
        targets.gateways[gateway.name] = gateway_target(gateway, kinds)
        targets.problems += findings.problems
        declared.settle(findings)
    _keep_the_broken(declared, remembered, targets)
    _check_reach(declared, targets)
    return targets


def cluster_target(cluster: Declaration[ClusterSpec], kinds: Mapping[str, str]) -> TargetSpec:
    spec = cluster.spec
    type_ = kinds.get(spec.type, spec.type)
    return TargetSpec(cluster.name, type_, settings_of(spec), drain_seconds=spec.drain_seconds, source=str(cluster.place))


def gateway_target(gateway: Declaration[GatewaySpec], kinds: Mapping[str, str]) -> TargetSpec:
    spec = gateway.spec
    settings: dict[str, Json] = {
        "directory": spec.output.directory,
        "run": spec.output.run,
        "address": spec.listen.address,
        "port": spec.listen.port,
        "baseUrl": spec.base_url or f"http://{spec.listen.address}:{spec.listen.port}",
        "maxRequestBytes": spec.limits.max_request_bytes,
    }
    return TargetSpec(gateway.name, kinds.get(spec.type, spec.type), settings, tuple(sorted(spec.clusters)), source=str(gateway.place))


def _check_names(
    clusters: Mapping[str, tuple[Declaration[ClusterSpec], Findings]],
    gateways: Mapping[str, tuple[Declaration[GatewaySpec], Findings]],
    remembered: Remembered,
) -> None:
    """Who has the name already keeps it; a newcomer is a gateway, unless the gateway was there first."""
    for name in sorted(clusters.keys() & gateways.keys()):
        held = remembered.targets.get(name)
        loser, winner = (clusters[name], gateways[name]) if held and held.binds else (gateways[name], clusters[name])
        loser[1].error(
            "E79",
            "/metadata/name",
            f"'{name}' is the name of a cluster and of a gateway",
            f"both are targets, and a target's name is its identity; the other stands at {winner[0].place}",
            "rename this one",
        )


def _check_mirrors(declared: Declared, clusters: Iterable[tuple[Declaration[ClusterSpec], Findings]]) -> None:
    """A mirror of some workspaces only is enough here: the endpoints of the others are told."""
    for cluster, findings in clusters:
        name, known = cluster.spec.image_registry, declared.names("ImageRegistry")
        if name and (name in known or not any(other.endswith(f"/{name}") for other in known)):
            declared.refer(findings, ImageRegistrySpec, "ImageRegistry", name, "/spec/imageRegistry")


def _check_gateways(declared: Declared, gateways: Mapping[str, tuple[Declaration[GatewaySpec], Findings]], remembered: Remembered) -> None:
    for gateway, findings in gateways.values():
        for index, name in enumerate(gateway.spec.clusters):
            if name not in declared.names("Cluster"):
                declared.refer(findings, ClusterSpec, "Cluster", name, f"/spec/clusters/{index}")
        if _folder(gateway.spec).partition("/")[0] in OURS:
            what, why = (
                f"'{gateway.spec.output.directory}' is a folder of the reconciler itself",
                "a gateway's files have a folder of their own",
            )
            findings.error("E78", "/spec/output/directory", what, why, f"write gateway, or gateways/{gateway.name}")
    _check_places(gateways.values(), remembered)


def _check_reach(declared: Declared, targets: Targets) -> None:
    """Told once per cluster, not once per endpoint. A gateway of which nothing is known may route to any."""
    if declared.names("Gateway") - targets.gateways.keys():
        return
    reached = {name for gateway in targets.gateways.values() for name in gateway.binds}
    for cluster in declared.of(ClusterSpec):
        if cluster.name in targets.clusters.keys() - reached:
            findings = Findings(cluster)
            todo = "add it to spec.clusters of a Gateway" if targets.gateways else "declare a Gateway with it in spec.clusters"
            findings.warn(
                "W13", "/metadata/name", f"no gateway routes to cluster '{cluster.name}'", "what it serves cannot be reached", todo
            )
            targets.problems += findings.problems


def _check_places(gateways: Iterable[tuple[Declaration[GatewaySpec], Findings]], remembered: Remembered) -> None:
    """Two gateways that write one folder or listen on one port would undo each other's work."""
    folders: dict[str, list[tuple[Declaration[GatewaySpec], Findings]]] = {}
    for gateway, findings in gateways:
        folders.setdefault(f"folder '{_folder(gateway.spec)}'", []).append((gateway, findings))
        if gateway.spec.output.run:
            folders.setdefault(f"port {gateway.spec.listen.port}", []).append((gateway, findings))
    for place, claimants in folders.items():
        known = [gateway.name for gateway, _ in claimants if gateway.name in remembered.targets]
        for gateway, findings in claimants if len(claimants) > 1 else ():
            if known == [gateway.name]:
                continue
            others = ", ".join(sorted(other.name for other, _ in claimants if other is not gateway))
            pointer = "/spec/output/directory" if place.startswith("folder") else "/spec/listen/port"
            findings.error("E79", pointer, f"{place} is used by gateway {others} too", "they would overwrite each other", "choose another")


def _folder(spec: GatewaySpec) -> str:
    """The output folder in one spelling: `./a//b/` is `a/b`."""
    return "/".join(part for part in spec.output.directory.split("/") if part not in ("", "."))


def _keep_the_broken(declared: Declared, remembered: Remembered, targets: Targets) -> None:
    for id_ in declared.broken:
        kind, _, name = id_.partition("/")
        if kind not in ("Cluster", "Gateway"):
            continue
        mine, others = (targets.clusters, targets.gateways) if kind == "Cluster" else (targets.gateways, targets.clusters)
        held = remembered.targets.get(name)
        mine.pop(name, None)
        if held is not None and bool(held.binds) == (kind == "Gateway") and name not in others:
            mine[name] = held
