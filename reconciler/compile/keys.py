"""An ApiKey as grants: `ws:<workspace>` for every endpoint of it, now and later, or `ep:<workspace>/<endpoint>` each.

A key opens endpoints of its own workspace only: whoever writes a workspace's files cannot let himself into another one. Every key goes to
every gateway, so that it can be made before its endpoint and survives the endpoint's move from one gateway to another.
"""

from collections.abc import Collection, Iterable

from reconciler.compile.findings import Findings, did_you_mean, listed
from reconciler.compile.names import model_names
from reconciler.compile.references import Declared
from reconciler.compile.source import Declaration
from reconciler.resource import DriftMode
from reconciler.schema.api_key import ApiKeySpec
from reconciler.schema.endpoint import EndpointSpec
from reconciler.schema.metadata import DRIFT
from reconciler.targets.rendering import Credential, Key, Meta


class KeyRing:
    """Which endpoints a workspace has, and by which model names: found once for all keys."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._endpoints: dict[str, set[str]] = {}
        self._models: dict[str, dict[str, set[str]]] = {}
        for full in declared.names("Endpoint"):
            workspace, _, name = full.partition("/")
            self._endpoints.setdefault(workspace, set()).add(name)
            self._models.setdefault(workspace, {}).setdefault(full.lower(), set()).add(name)
        self._holders: dict[str, list[Declaration[ApiKeySpec]]] = {}
        for key in declared.of(ApiKeySpec):
            for credential in key.spec.credentials:
                self._holders.setdefault(credential.sha256, []).append(key)
        for endpoint in declared.of(EndpointSpec):
            for model in model_names(endpoint):
                self._models[endpoint.workspace].setdefault(model.lower(), set()).add(endpoint.name)

    def compile(self, findings: Findings, key: Declaration[ApiKeySpec], drift: DriftMode) -> Key:
        """The key; worth something only if nothing was found wrong (E67)."""
        self._declared.workspace(findings)
        self._check_credentials(findings, key)
        return Key(
            meta=Meta(key.id, str(key.place), drift=key.annotations.get(DRIFT, drift.value)),
            workspace=key.workspace,
            name=key.name,
            credentials=tuple(Credential(c.id, c.sha256, c.expires_at) for c in key.spec.credentials),
            grants=self._grants(findings, key),
        )

    def _grants(self, findings: Findings, key: Declaration[ApiKeySpec]) -> tuple[str, ...]:
        spec = key.spec
        if spec.endpoints is None and spec.models is None:
            return (f"ws:{key.workspace}",)
        named: set[str] | None = None
        if spec.endpoints is not None:
            self._check(findings, key, "endpoint", spec.endpoints, self._endpoints.get(key.workspace, set()))
            named = set(spec.endpoints)
        if spec.models is not None:
            models = self._models.get(key.workspace, {})
            self._check(findings, key, "model", spec.models, models)
            carriers = {name for model in spec.models for name in models.get(model.lower(), ())}
            named = carriers if named is None else named & carriers
        return tuple(sorted(f"ep:{key.workspace}/{name}" for name in named or ()))

    def _check_credentials(self, findings: Findings, key: Declaration[ApiKeySpec]) -> None:
        """One key in two declarations: whose grants would count? Both are blocked, so that the live one stays as it is."""
        for index, credential in enumerate(key.spec.credentials):
            for other in self._holders[credential.sha256]:
                if other.id != key.id:
                    what = f"credential '{credential.id}' stands at {other.place_of('/spec/credentials')} too"
                    why = "one key would have two owners; which of them decides what it opens could not be told"
                    findings.error("E69", f"/spec/credentials/{index}", what, why, "remove one")

    def _check(self, findings: Findings, key: Declaration[ApiKeySpec], kind: str, wanted: Iterable[str], names: Collection[str]) -> None:
        for index, name in enumerate(wanted):
            if (name.lower() if kind == "model" else name) in names:
                continue
            what = f"{kind} '{name}' is not declared"
            why = f"declared in workspace {key.workspace} are {listed(names)}"
            findings.error("E67", f"/spec/{kind}s/{index}", what, why, did_you_mean(name, names, "correct the name, or declare it"))
