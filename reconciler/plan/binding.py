"""What is bound late: replica addresses, retry counters, drains that are over.

These changes need no review, no acknowledgement and no digest, and nothing holds them: a typo in YAML must not cut a route off from
replicas that were restarted. A known set of addresses is never replaced by an empty or an unread one (gateway.md, section 5).
"""

from collections.abc import Iterator
from typing import Final

from reconciler.change import Rebind
from reconciler.plan.view import View
from reconciler.resource import Binding, LiveResource, ResourceKey

FIRST_RETRY: Final = 60.0  # ray.md, section 8: one minute, then twice as long each time
LONGEST_RETRY: Final = 1800.0


def bound_addresses(view: View, needs: tuple[ResourceKey, ...], known: Binding) -> tuple[tuple[ResourceKey, tuple[str, ...]], ...]:
    """The addresses that each backend offers now, or the last known ones where it offers none or could not be read."""
    found = ((key, _offered(view, key) or known.addresses_of(key)) for key in sorted(needs))
    return tuple((key, addresses) for key, addresses in found if addresses)


def _offered(view: View, key: ResourceKey) -> tuple[str, ...]:
    backend = view.ours.get(key)
    return tuple(sorted(backend.addresses)) if backend else ()


def open_drains(view: View, live: LiveResource) -> tuple[tuple[ResourceKey, float], ...]:
    """Drains whose time is not over and whose backend is still there, as far as can be read."""
    return tuple((key, since) for key, since in live.binding.drains if drain_left(view, key, since) > 0)


def drain_left(view: View, backend: ResourceKey, since: float) -> float:
    """Seconds until the backend may stop; 0 when the time is over, or when the backend is known to be gone."""
    gone = backend.target in view.readable and backend not in view.everything
    return 0.0 if gone else max(0.0, since + view.drain_seconds(backend.target) - view.situation.now)


def retry_delay(attempt: int) -> float:
    return min(FIRST_RETRY * 2.0 ** min(attempt, 10), LONGEST_RETRY)


def rebinds(view: View, busy: frozenset[ResourceKey]) -> Iterator[Rebind]:
    """Late-bound changes of everything of ours that no operation of this pass writes anyway (`busy`)."""
    bound = (key for key, live in view.ours.items() if _late(live) and key not in busy and not live.withdrawn)
    for key in sorted(bound):
        if change := _rebind(view, view.ours[key]):
            yield change


def _late(live: LiveResource) -> bool:
    """Is anything of it bound late? Of most resources nothing is, and a fleet has thousands."""
    binding, facts = live.binding, live.serving
    return bool(live.needs or binding.addresses or binding.drains or (facts and facts.gave_up))


def _rebind(view: View, live: LiveResource) -> Rebind | None:
    addresses = bound_addresses(view, live.needs, live.binding)
    drains, attempt = open_drains(view, live), _attempt(view, live)
    bound = Binding(addresses, attempt, drains)
    known = tuple((key, tuple(sorted(found))) for key, found in sorted(live.binding.addresses) if found)
    before = Binding(known, live.binding.attempt, live.binding.drains)
    return Rebind(live, bound, _text(before, bound)) if bound != before else None


def _attempt(view: View, live: LiveResource) -> int:
    """One more when the target gave up on what is declared now, and the back-off is over. Nothing else retries.

    A target that does not say since when is not asked again: each pass would restart its replicas.
    """
    facts, wanted = live.serving, view.desired.resources.get(live.key)
    declared = wanted is not None and live.mark is not None and live.mark.digest == wanted.digest
    if not (facts and facts.gave_up and facts.since is not None and declared):
        return live.binding.attempt
    due = facts.since + retry_delay(live.binding.attempt)
    return live.binding.attempt + (view.situation.now >= due)


def _text(before: Binding, after: Binding) -> str:
    if after.attempt != before.attempt:
        return f"attempt {after.attempt + 1}: the target had given up; its replicas are started again"
    if after.addresses != before.addresses:
        old, new = (sorted(a for _, found in b.addresses for a in found) for b in (before, after))
        return f"replica addresses {', '.join(old) or 'none'} -> {', '.join(new) or 'none'}"
    return "drain is over"
