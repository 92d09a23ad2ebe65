"""The live state as the plan looks at it: one index over all targets, and what is ours in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from reconciler.desired import Desired, TargetSpec
from reconciler.plan.situation import Situation
from reconciler.resource import Live, LiveResource, Observation, ResourceKey, Unreadable
from reconciler.targets.protocol import TargetRules
from reconciler.targets.registry import rules_of

DEFAULT_DRAIN = 30.0  # Cluster.drainSeconds of a target whose declaration nobody remembers


@dataclass(frozen=True)
class View:
    desired: Desired
    live: Live
    situation: Situation

    @cached_property
    def readable(self) -> Mapping[str, Observation]:
        return {name: seen for name, seen in self.live.items() if isinstance(seen, Observation)}

    @cached_property
    def unreadable(self) -> tuple[Unreadable, ...]:
        return tuple(seen for _, seen in sorted(self.live.items()) if isinstance(seen, Unreadable))

    @cached_property
    def everything(self) -> Mapping[ResourceKey, LiveResource]:
        return {key: found for seen in self.readable.values() for key, found in seen.resources.items()}

    @cached_property
    def ours(self) -> Mapping[ResourceKey, LiveResource]:
        return {key: found for key, found in self.everything.items() if self.is_ours(found)}

    def is_ours(self, found: LiveResource) -> bool:
        """Our instance, and our repo: two repos cannot prune each other."""
        mark = found.mark
        return mark is not None and mark.instance == self.desired.instance and mark.repo == self.desired.repo

    @cached_property
    def users(self) -> Mapping[ResourceKey, tuple[LiveResource, ...]]:
        """Backend -> what sends traffic to it now, or has not been gone for long enough."""
        found: dict[ResourceKey, tuple[LiveResource, ...]] = {}
        for user in self.ours.values():
            for backend in (*user.needs, *(key for key, _ in user.binding.drains)):
                found[backend] = (*found.get(backend, ()), user)
        return found

    @cached_property
    def heirs(self) -> Mapping[str, ResourceKey]:
        """What is wanted and there, by what it is on its server: a cluster that got another name is the same cluster."""
        return {found.identity: key for key, found in self.ours.items() if found.identity and key in self.desired.resources}

    def rules(self, target: str) -> TargetRules:
        found = self._rules.get(target)
        if found is None:
            found = self._rules[target] = rules_of(self.spec(target).type)
        return found

    @cached_property
    def _rules(self) -> dict[str, TargetRules]:
        """Asked for twice for each of thousands of resources."""
        return {}

    def spec(self, target: str) -> TargetSpec:
        return self.desired.targets.get(target) or self.situation.targets[target]

    def drain_seconds(self, target: str) -> float:
        spec = self.desired.targets.get(target) or self.situation.targets.get(target)
        return spec.drain_seconds if spec else DEFAULT_DRAIN

    def serves(self, key: ResourceKey) -> bool:
        return key.kind in self.rules(key.target).serves

    @cached_property
    def wanted_of(self) -> Mapping[str, tuple[ResourceKey, ...]]:
        """Owner -> the keys of its resources that serve."""
        found: dict[str, tuple[ResourceKey, ...]] = {}
        for key, wanted in self.desired.resources.items():
            if self.serves(key):
                found[wanted.owner] = (*found.get(wanted.owner, ()), key)
        return found

    @cached_property
    def routed(self) -> frozenset[str]:
        """Owners that are to have a route."""
        return frozenset(one.owner for key, one in self.desired.resources.items() if key.kind in self.rules(key.target).routes)

    def owned_by(self, owner: str) -> Iterator[LiveResource]:
        return (found for found in self.ours.values() if found.mark and found.mark.owner == owner)

    def owners_live(self, kind: str) -> frozenset[str]:
        owners = (found.mark.owner for found in self.ours.values() if found.mark)
        return frozenset(owner for owner in owners if owner.startswith(kind + "/"))
