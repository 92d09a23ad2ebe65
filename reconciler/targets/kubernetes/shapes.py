"""What is decoded of the API server's answers: as little as the reader of a field needs, and everything else left as bytes.

An object of any kind is an `Item`: its metadata as values, every other top-level part as raw JSON, so that a thousand Deployments cost
milliseconds and only what differs is ever parsed whole. Pods, EndpointSlices and Events, of which only a few fields matter, are decoded
straight into those. Raw parts are views into the answer: who keeps one for longer than a pass keeps the whole page alive (`bytes(raw)`
does not).

What is missing or of another shape raises; it is never read as "nothing there". Times stay text, see `seconds`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from reconciler.errors import TargetUnavailable
from reconciler.targets.kubernetes.api.failures import TROUBLE

NOT_OURS_TO_CHECK: Final = frozenset({"metadata", "status", "kind", "apiVersion"})
REVISION: Final = "deployment.kubernetes.io/revision"  # the controller's own number; it comes a moment after every change of a pod template
GROUP_INDEX: Final = "leaderworkerset.sigs.k8s.io/group-index"
WORKER_INDEX: Final = "leaderworkerset.sigs.k8s.io/worker-index"
T = TypeVar("T")


class ManagedFields(Struct, frozen=True, rename="camel"):
    """Who owns which fields. fields_v1: the field set as the server wrote it. time: when this manager last changed something."""

    manager: str = ""
    operation: str = ""
    api_version: str = ""
    time: str | None = None
    fields_v1: Raw = Raw(b"{}")
    subresource: str = ""


class Owner(Struct, frozen=True, rename="camel"):
    uid: str
    kind: str = ""
    name: str = ""
    controller: bool = False


class Meta(Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}  # msgspec copies an empty default
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[Owner, ...] = ()
    managed_fields: tuple[ManagedFields, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """Any object: parts are its top-level members as raw JSON (`spec`, `data`, `status`, `rules`, ...), metadata too."""

    meta: Meta
    parts: Mapping[str, Raw]

    def whole(self) -> bytes:
        """The object as JSON, without `apiVersion` and `kind` where the LIST left them out."""
        return msgspec.json.encode(self.parts)


class ListMeta(Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str = field(default="", name="continue")


class Listed(Struct, Generic[T], frozen=True):
    """One page of a LIST. `items: null` is how Go writes an empty one; no `items` at all is no LIST."""

    items: tuple[T, ...] | None
    metadata: ListMeta = ListMeta()


class WatchLine(Struct, frozen=True):
    """One line of a WATCH: ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""

    type: str
    object: Raw


class Condition(Struct, frozen=True, rename="camel"):
    type: str
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None
    last_update_time: str | None = None


class WorkloadStatus(Struct, frozen=True, rename="camel"):
    """Of a Deployment (counts pods) and of a LeaderWorkerSet (counts groups; before 0.9 without observedGeneration)."""

    observed_generation: int | None = None
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    unavailable_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class DeploymentSpec(Struct, frozen=True, rename="camel"):
    replicas: int | None = None
    progress_deadline_seconds: int | None = None
    paused: bool = False


class GroupTemplate(Struct, frozen=True):
    size: int | None = None


class LeaderWorkerSetSpec(Struct, frozen=True, rename="camel"):
    replicas: int | None = None
    leader_worker_template: GroupTemplate = GroupTemplate()


class Deployment(Struct, frozen=True):
    metadata: Meta
    spec: DeploymentSpec = DeploymentSpec()
    status: WorkloadStatus = WorkloadStatus()


class LeaderWorkerSet(Struct, frozen=True):
    metadata: Meta
    spec: LeaderWorkerSetSpec = LeaderWorkerSetSpec()
    status: WorkloadStatus = WorkloadStatus()


class Waiting(Struct, frozen=True):
    reason: str = ""
    message: str = ""


class Running(Struct, frozen=True, rename="camel"):
    started_at: str | None = None


class Terminated(Struct, frozen=True, rename="camel"):
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None


class ContainerState(Struct, frozen=True):
    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Struct, frozen=True, rename="camel"):
    name: str
    image: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class ReadinessGate(Struct, frozen=True, rename="camel"):
    condition_type: str


class PodSpec(Struct, frozen=True, rename="camel"):
    node_name: str = ""
    readiness_gates: tuple[ReadinessGate, ...] = ()


class PodStatus(Struct, frozen=True, rename="camel"):
    phase: str = ""
    reason: str = ""
    message: str = ""
    start_time: str | None = None
    pod_ip: str = field(default="", name="podIP")
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Struct, frozen=True):
    metadata: Meta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class Port(Struct, frozen=True):
    name: str | None = None
    port: int | None = None
    protocol: str | None = None


class EndpointConditions(Struct, frozen=True):
    """None is "not known", which the API says to take for True (ready, serving) and False (terminating)."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Reference(Struct, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class SliceEndpoint(Struct, frozen=True, rename="camel"):
    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    target_ref: Reference | None = None


class EndpointSlice(Struct, frozen=True, rename="camel"):
    """metadata.labels has the Service's name under `kubernetes.io/service-name`."""

    metadata: Meta
    address_type: str = "IPv4"
    endpoints: tuple[SliceEndpoint, ...] | None = None
    ports: tuple[Port, ...] | None = None


class Series(Struct, frozen=True, rename="camel"):
    count: int = 0
    last_observed_time: str | None = None


class Event(Struct, frozen=True, rename="camel"):
    """Newer writers fill event_time and series, older ones count and the two timestamps."""

    involved_object: Reference
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = None
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    series: Series | None = None

    @property
    def last(self) -> float:
        """When it was last seen, seconds since the epoch; 0.0 if nobody says."""
        newest = self.series.last_observed_time if self.series else None
        return seconds(newest or self.last_timestamp or self.event_time or self.first_timestamp) or 0.0


PODS: Final = msgspec.json.Decoder(Listed[Pod])
SLICES: Final = msgspec.json.Decoder(Listed[EndpointSlice])
EVENTS: Final = msgspec.json.Decoder(Listed[Event])
_PARTS: Final = msgspec.json.Decoder(Listed[dict[str, Raw]])
_ONE: Final = msgspec.json.Decoder(dict[str, Raw])
_META: Final = msgspec.json.Decoder(Meta)
_WATCH: Final = msgspec.json.Decoder(WatchLine)
_STATUS: Final = msgspec.json.Decoder(WorkloadStatus)
_DEPLOYMENT: Final = msgspec.json.Decoder(DeploymentSpec)
_LWS: Final = msgspec.json.Decoder(LeaderWorkerSetSpec)


def decoded(decoder: "msgspec.json.Decoder[T]", body: bytes | Raw, what: str) -> T:
    """Raises TargetUnavailable for anything that does not fit. what: for the message, `the LIST of Deployments`."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TargetUnavailable(
            f"{what}: the API server's answer cannot be read",
            code=TROUBLE,
            why=f"{error}; an answer that was cut off is never taken for a shorter one",
            todo="look for a proxy in front of the API server that cuts answers off",
        ) from error


def rows(decoder: "msgspec.json.Decoder[Listed[T]]", body: bytes, what: str) -> tuple[T, ...]:
    """The items of one page: `rows(PODS, page, "the LIST of Pods")`."""
    return decoded(decoder, body, what).items or ()


def items(body: bytes, what: str) -> tuple[Item, ...]:
    """The objects of one page, whatever their kind."""
    return tuple(_item(parts, what) for parts in rows(_PARTS, body, what))


def item(body: bytes | Raw, what: str) -> Item:
    """One object: the answer to a GET or to an apply, or what a WATCH brings."""
    return _item(decoded(_ONE, body, what), what)


def _item(parts: dict[str, Raw], what: str) -> Item:
    return Item(decoded(_META, parts.get("metadata", Raw(b"null")), what), parts)


def watch_line(line: bytes, what: str) -> WatchLine:
    return decoded(_WATCH, line, what)


def deployment(found: Item) -> Deployment:
    what = f"Deployment {found.meta.namespace}/{found.meta.name}"
    spec, status = (found.parts.get(name, Raw(b"{}")) for name in ("spec", "status"))
    return Deployment(found.meta, decoded(_DEPLOYMENT, spec, what), decoded(_STATUS, status, what))


def leader_worker_set(found: Item) -> LeaderWorkerSet:
    what = f"LeaderWorkerSet {found.meta.namespace}/{found.meta.name}"
    spec, status = (found.parts.get(name, Raw(b"{}")) for name in ("spec", "status"))
    return LeaderWorkerSet(found.meta, decoded(_LWS, spec, what), decoded(_STATUS, status, what))


def fingerprint(found: Item, manager: str, key: bytes = b"") -> bytes:
    """16 bytes over everything that the owned-field check looks at: the content, labels, annotations, our field sets, and whether it is on
    its way out. Not over status, versions, the times in managedFields and a Deployment's revision, which move by themselves.

    key: at most 64 random bytes of this process; needed where a Secret may be among the objects, because a plain hash of a short secret
    can be guessed.
    """
    meta = found.meta
    ours = [(one.operation, one.api_version, one.subresource, one.fields_v1) for one in meta.managed_fields if one.manager == manager]
    annotations = sorted(pair for pair in meta.annotations.items() if pair[0] != REVISION)
    marks = (meta.deletion_timestamp, sorted(meta.labels.items()), annotations, ours)
    digest = blake2b(msgspec.json.encode(marks), digest_size=16, key=key)
    for name in sorted(found.parts.keys() - NOT_OURS_TO_CHECK):
        raw = found.parts[name]
        digest.update(b"\0%s\0%d\0" % (name.encode(), len(bytes(raw))))
        digest.update(raw)
    return digest.digest()


def seconds(text: str | None) -> float | None:
    """A time of the API (RFC 3339) as seconds since the epoch; None for no time and for what is none."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
