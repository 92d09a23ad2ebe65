"""Writing Serve: the whole list at once, once per wave, and only when it differs.

There is no compare-and-swap. So the list is read again right before, a change whose application is not what the plan saw is not made, what
is not ours goes back equal to how it was read, and a reading after the PUT says what became of each change, and whether somebody else's
write was lost in between. Nothing here waits for replicas: the next pass sees them.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from reconciler import checkpoint
from reconciler.change import Change, Create, Delete, Outcome, Rebind, Replace, Update
from reconciler.errors import Busy, Problem, TargetRefused
from reconciler.resource import Json, Manifest
from reconciler.targets.protocol import Context
from reconciler.targets.ray.answer import Application, ServeState
from reconciler.targets.ray.client import RayClient
from reconciler.targets.ray.document import attempt_of, mark_of, marked, name_of, plain
from reconciler.targets.ray.read import read_state

REDACTED: Final = "<redacted>"


@dataclass(frozen=True, slots=True)
class First:
    """What the first PUT of a Serve instance fixes for its whole life."""

    host: str = "0.0.0.0"
    port: int = 8000
    request_timeout: float = 3600.0

    def options(self) -> Manifest:
        http: Manifest = {"host": self.host, "port": self.port, "request_timeout_s": self.request_timeout}
        return {"proxy_location": "EveryNode", "http_options": http}


@dataclass(slots=True)
class Draft:
    """A wave laid over the live list: documents by name (None: left out), and the outcomes that are known already."""

    documents: dict[str, Manifest]
    changed: dict[str, tuple[Change, Manifest | None]] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)


class RayWriter:
    """One session's writer."""

    def __init__(self, client: RayClient, context: Context, first: First) -> None:
        self._client, self._context, self._first = client, context, first

    def write(self, wave: Sequence[Change]) -> Iterable[Outcome]:
        """One outcome per change. Raises Busy, TargetUnavailable, TargetRefused when nothing of the wave could be written."""
        before = read_state(self._client)
        draft = self._draft(wave, before)
        live = _submitted(before)
        if draft.documents == live:
            return [*draft.outcomes, *(Outcome(change, True) for change, _ in draft.changed.values())]
        try:
            self._put(before, list(draft.documents.values()))
        except TargetRefused as error:
            return self._refused(draft, error)
        after = read_state(self._client)
        lost = _lost(before, after, draft)
        return [*draft.outcomes, *(_outcome(name, change, wanted, after, lost) for name, (change, wanted) in draft.changed.items())]

    def _refused(self, draft: Draft, error: TargetRefused) -> list[Outcome]:
        """One bad document must not hold the others: each alone, so that the one that Serve refuses is known."""
        changes = [change for change, _ in draft.changed.values()]
        if error.problem.code != "RAY4" or len(changes) < 2:
            return [*draft.outcomes, *(Outcome(change, False, error.problem.what, error.problem) for change in changes)]
        return [*draft.outcomes, *(outcome for change in changes for outcome in self.write([change]))]

    def _draft(self, wave: Sequence[Change], state: ServeState) -> Draft:
        draft = Draft(_submitted(state))
        for change in wave:
            name, wanted = name_of(change.key), self._document(change, state)
            problem = _not_as_planned(change, wanted, state.applications.get(name))
            if problem is not None:
                draft.outcomes.append(Outcome(change, False, problem.what, problem))
                continue
            draft.changed[name] = (change, wanted)
            if wanted is None:
                draft.documents.pop(name, None)
            else:
                draft.documents[name] = wanted
        return draft

    def _document(self, change: Change, state: ServeState) -> Manifest | None:
        """What is to stand there afterwards; None for nothing."""
        claim = self._context.claim
        if isinstance(change, Create | Update):
            return marked(change.desired.manifest, change.desired.mark(claim.instance, claim.repo), change.binding)
        if isinstance(change, Rebind) and change.live.mark is not None:
            return marked(change.live.manifest, change.live.mark, change.binding)
        return None

    def _put(self, before: ServeState, documents: list[Manifest]) -> None:
        options = dict(before.options) if before.started else dict(self._first.options())
        body: dict[str, Json] = {**options, "applications": documents}
        if REDACTED in json.dumps(body):
            raise TargetRefused(
                "Ray hides values of an application, and writing them back would destroy them",
                code="RAY8",
                where=self._client.address,
                why='its answer holds "<redacted>": it takes us for a browser',
                todo="see what stands between us and the dashboard and adds a browser's headers",
            )
        if not self._context.still_held():
            raise Busy("the target's lock was lost before a write", todo="see who else writes to this cluster", where=self._client.address)
        checkpoint.reach("ray: put", "before")
        self._client.put(body)
        checkpoint.reach("ray: put", "after")


def _submitted(state: ServeState) -> dict[str, Manifest]:
    """Everybody's documents, as they must go back. What is being deleted stays deleted; what was never a document is not Serve's list."""
    return {app.name: app.config for app in state.applications.values() if app.config is not None and not app.deleting}


def _not_as_planned(change: Change, wanted: Manifest | None, app: Application | None) -> Problem | None:
    """Why the change cannot be made, None when it can (also when it has been made already: writing twice is safe)."""
    config = None if app is None or app.deleting else app.config
    if app is not None and app.config is None and not app.deleting:
        return _changed(change, "an application of that name was deployed by code")
    if config == wanted:
        return None
    if isinstance(change, Create):
        return None if config is None else _changed(change, "an application of that name is there now")
    if config is None:
        return None if isinstance(change, Delete | Replace) else _changed(change, "it is gone")
    same = mark_of(config) == change.live.mark and plain(config) == change.live.manifest
    if not same or (not isinstance(change, Rebind) and attempt_of(config) != change.live.binding.attempt):
        return _changed(change, "somebody has changed it")
    return None


def _changed(change: Change, why: str) -> Problem:
    return Problem(
        "RAY7", "changed since planned", why, "nothing: the next pass plans anew", where=str(change.key), owner=change.owner or None
    )


def _lost(before: ServeState, after: ServeState, draft: Draft) -> list[str]:
    """Foreign applications that our PUT undid: changed or gone since we read them, or new and on their way out already."""
    foreign = {name: config for name, config in _submitted(before).items() if name not in draft.changed}
    now = _submitted(after)
    undone = [name for name, config in foreign.items() if now.get(name) != config]
    caught = [app.name for app in after.applications.values() if app.deleting and app.name not in before.applications]
    return sorted({*undone, *caught})


def _outcome(name: str, change: Change, wanted: Manifest | None, after: ServeState, lost: Sequence[str]) -> Outcome:
    app = after.applications.get(name)
    config = None if app is None or app.deleting else app.config
    if config != wanted:
        why = (
            "it is not there"
            if config is None
            else "it is still there"
            if wanted is None
            else f"Serve holds another document: {_fields(wanted, config)}"
        )
        problem = Problem(
            "RAY9", "the write did not take", why, "see who else writes to this cluster", where=str(change.key), owner=change.owner
        )
        return Outcome(change, False, problem.what, problem)
    if lost:
        names = ", ".join(lost)
        what = f"somebody else wrote to Serve at the same moment; their change is undone: {names}"
        todo = "let one program write to a Ray cluster; put theirs back"
        return Outcome(change, True, what, Problem("RAY9", what, "Serve has no compare-and-swap", todo, where=str(change.key)))
    return Outcome(change, True)


def _fields(wanted: Manifest | None, config: Manifest) -> str:
    names = [name for name in sorted({*(wanted or {}), *config}) if (wanted or {}).get(name) != config.get(name)]
    return ", ".join(names) or "other fields"
