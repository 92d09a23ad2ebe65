"""Declarations -> Desired: the order in which things are resolved.

Settings, then targets, then engines, then endpoints, then model names, then keys: each may be broken by an earlier one. Pure: same
snapshot, same memory, same schemas, same bytes, whatever the order of the input.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from reconciler.compile.endpoints import Compiled, compile_endpoint
from reconciler.compile.engines import Engines
from reconciler.compile.findings import Findings
from reconciler.compile.keys import KeyRing
from reconciler.compile.names import Claim, settle_names
from reconciler.compile.references import Declared
from reconciler.compile.settings import Policy, policy_of
from reconciler.compile.source import Declaration, EngineSchemas, Snapshot
from reconciler.compile.targets import Targets, targets_of
from reconciler.desired import Desired, Owner, Remembered, TargetSpec
from reconciler.errors import CompileError, Problem
from reconciler.resource import Resource, ResourceKey
from reconciler.schema.api_key import ApiKeySpec
from reconciler.schema.endpoint import EndpointSpec
from reconciler.schema.image_registry import ImageRegistrySpec
from reconciler.schema.model_registry import ModelRegistrySpec
from reconciler.targets.registry import cluster_renderer, gateway_renderer

NO_KINDS: Final[Mapping[str, str]] = {}
OWNING: Final = ("Endpoint/", "ApiKey/")  # kinds that own resources: only of these does it matter that they keep what they have


def compile_declarations(
    snapshot: Snapshot, remembered: Remembered, schemas: EngineSchemas, kinds: Mapping[str, str] = NO_KINDS
) -> Desired:
    """Everything that should be. What does not compile is in `blocked`, with its reasons, and has no resources.

    schemas: argument schemas by the name that an Engine gives them. kinds: another type of target in the place of a declared one
    (`{"ray": "memory"}`). Raises nothing that a declaration can cause.
    """
    return _Pass(snapshot, remembered, schemas, kinds).desired()


class _Pass:
    """One run; its attributes are what is known so far."""

    def __init__(self, snapshot: Snapshot, remembered: Remembered, schemas: EngineSchemas, kinds: Mapping[str, str]) -> None:
        self.snapshot, self.remembered = snapshot, remembered
        self.declared = Declared(snapshot)
        self.policy: Policy = policy_of(self.declared, remembered)
        self.targets: Targets = targets_of(self.declared, remembered, kinds)
        self.engines = Engines(self.declared, schemas)
        self.found: list[Problem] = [*self.targets.problems, *self.engines.problems]
        self.owners: dict[str, Owner] = {}
        self.resources: dict[ResourceKey, Resource] = {}

    def desired(self) -> Desired:
        self._registries()
        aliases = self._endpoints()
        self._keys()
        return Desired(
            revision=self.snapshot.revision.id,
            instance=self.policy.instance,
            repo=self.snapshot.revision.root,
            resources=dict(sorted(self.resources.items())),
            owners=dict(sorted(self.owners.items())),
            targets=self.targets.specs,
            guards=self.policy.guards,
            blocked={id_: problems for id_, problems in sorted(self.declared.broken.items()) if id_.startswith(OWNING)},
            no_deletes=_no_deletes(self.snapshot),
            problems=in_order((*self.snapshot.problems, *self.found)),
            declared=dict(sorted(self.snapshot.declared.items())),
            aliases=aliases,
            status_branch=self.policy.status_branch,
            drift=self.policy.drift,
        )

    def _registries(self) -> None:
        registries: list[Declaration[object]] = [*self.declared.of(ModelRegistrySpec), *self.declared.of(ImageRegistrySpec)]
        for registry in registries:
            findings = Findings(registry)
            self.declared.workspace(findings)
            self._settle(findings)

    def _endpoints(self) -> dict[str, str]:
        claims: list[Claim] = []
        compiled: list[Compiled] = []
        for endpoint in self.declared.of(EndpointSpec):
            if endpoint.id in self.declared.broken:
                continue
            findings = Findings(endpoint)
            found = compile_endpoint(findings, endpoint, self.declared, self.engines, self.targets, self.policy.drift)
            self.owners[endpoint.id] = found.owner if found else Owner(endpoint.id, str(endpoint.place), asleep=endpoint.spec.paused)
            claims.append(Claim(endpoint, findings))
            compiled += [found] if found else []
        broken = {claim.endpoint.id for claim in claims if claim.findings.broken} | self.declared.broken.keys()
        aliases = settle_names(claims, broken, self.remembered.aliases)
        by_id = {claim.endpoint.id: claim.findings for claim in claims}
        for found in compiled:
            self._render(by_id[found.endpoint.id], found)
        for claim in claims:
            self._settle(claim.findings)
        return aliases

    def _render(self, findings: Findings, compiled: Compiled) -> None:
        if findings.broken:
            return
        try:
            rendered = self._rendered(compiled)
        except CompileError as error:
            problem = error.problem
            findings.error(problem.code, "", problem.what, problem.why, problem.todo)
            return
        self.resources |= {resource.key: resource for resource in rendered}
        if shares := tuple(resource.key for resource in rendered if resource.owner != compiled.endpoint.id):
            self.owners[compiled.endpoint.id] = replace(compiled.owner, shares=shares)

    def _rendered(self, compiled: Compiled) -> list[Resource]:
        """Paused: what the cluster keeps of a workload of which nothing runs, and a route that says so and leads nowhere."""
        cluster, route = self.targets.clusters[compiled.cluster], compiled.route
        workload = cluster_renderer(cluster.type).render_workload(compiled.workload, cluster)
        found = list(workload.resources)
        if workload.backend and not route.paused:
            route = replace(route, backends=(workload.backend,))
        if compiled.gateway:
            gateway = self.targets.gateways[compiled.gateway]
            found += gateway_renderer(gateway.type).render_route(route, gateway)
        return found

    def _keys(self) -> None:
        """A disabled key has no resource; a kept gateway of a broken declaration keeps its keys."""
        ring = KeyRing(self.declared)
        gateways: list[TargetSpec] = [gateway for _, gateway in sorted(self.targets.gateways.items())]
        for item in self.declared.of(ApiKeySpec):
            if item.id in self.declared.broken:
                continue
            findings = Findings(item)
            key = ring.compile(findings, item, self.policy.drift)
            self.owners[item.id] = _key_owner(item, gateways)
            if not (findings.broken or item.spec.disabled):
                for gateway in gateways:
                    rendered = gateway_renderer(gateway.type).render_key(key, gateway)
                    self.resources |= {resource.key: resource for resource in rendered}
            self._settle(findings)

    def _settle(self, findings: Findings) -> None:
        self.found += findings.problems
        self.declared.settle(findings)


def _key_owner(key: Declaration[ApiKeySpec], gateways: list[TargetSpec]) -> Owner:
    return Owner(key.id, str(key.place), asleep=key.spec.disabled, targets=tuple(gateway.name for gateway in gateways))


def _no_deletes(snapshot: Snapshot) -> str:
    if not snapshot.unknown:
        return ""
    places = ", ".join(sorted({problem.where.rpartition(":")[0] or problem.where for problem in snapshot.unknown}))
    return f"nothing is deleted: what is declared in {places} is not known"


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """A broken key first: until it is right, somebody keeps access. Then by place."""
    return tuple(sorted(problems, key=_by_place))


def _by_place(problem: Problem) -> tuple[bool, str, int, str, str, str]:
    path, _, line = problem.where.rpartition(":")
    key, owner = (problem.owner or "").startswith("ApiKey/"), problem.owner or ""
    return (not key, path, int(line) if line.isdigit() else 0, problem.path, problem.code, owner)
