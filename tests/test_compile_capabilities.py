"""What a kind of cluster cannot do: each field of Kubernetes is accepted there, and refused on Ray at its place with its code.

An endpoint moves by its `cluster:` alone, so the same text is compiled for both.
"""

from dataclasses import dataclass

import pytest
from declarations_text import BASE, PATH, desired, text_of
from kubernetes_text import BASE_K8S, CHAT_K8S, CLUSTER_K8S, GATEWAY_K8S, GPU_K8S, compiled, workload

from reconciler.compile.capabilities import KUBERNETES, LIMITS, ON_KUBERNETES, ON_RAY, RAY
from reconciler.errors import Problem, Severity

ABLE = CLUSTER_K8S.replace(
    "  accelerators:\n",
    "  capabilities: [keda, lws, acceleratorExporter, activator]\n  accelerators:\n",
).replace("{kubeconfigRef: {name: east}}", "{kubeconfigRef: {name: east}, prometheusUrl: 'http://prometheus.monitoring:9090'}")
MIG = ABLE.replace("resourceKey: nvidia.com/gpu,", "resourceKey: nvidia.com/gpu, sharing: mig,")
METRIC = "metric: {type: concurrency, target: 8}"


@dataclass(frozen=True)
class Field:
    """Lines below `spec`, of which the last one is refused on Ray: code ("" = accepted), what, what to do."""

    story: str
    lines: str
    code: str = ""
    what: str = ""
    todo: str = ""
    base: str = CHAT_K8S
    cluster: str = ABLE

    def on(self, cluster: str) -> tuple[str, ...]:
        endpoint = self.base.replace("cluster: east", f"cluster: {cluster}") + "".join(f"  {line}\n" for line in self.lines.splitlines())
        return (*BASE, endpoint) if cluster == "lab" else (*replaced(self.cluster), endpoint)


def replaced(cluster: str, gateway: str = GATEWAY_K8S) -> tuple[str, ...]:
    return tuple({CLUSTER_K8S: cluster, GATEWAY_K8S: gateway}.get(document, document) for document in BASE_K8S)


def probe(field: str, value: str, todo: str = "remove it") -> Field:
    name, _, rest = field.partition(".")
    return Field(f"probes.{field}", f"probes: {{{name}: {{{rest}: {value}}}}}", "E47", f"probes.{field} on Ray", todo)


FIELDS = (
    Field(
        "a partition",
        "resources: {cpu: 1, accelerator: {type: nvidia-h100, partition: 1g.10gb}}",
        "E73",
        "a partition of an accelerator: not supported yet",
        cluster=MIG,
    ),
    Field("shared memory", "resources: {memory: 8Gi, sharedMemory: 4Gi}", "E46", "sharedMemory on Ray", "size it on the nodes"),
    Field("ephemeral storage", "resources: {ephemeralStorage: 50Gi}", "E73", "ephemeral storage: not supported yet"),
    Field("several nodes", "parallelism: {nodes: 2}", "E73", "replicas over several nodes: not supported yet"),
    Field("autoscaling", f"autoscaling: {{{METRIC}}}", "E73", "autoscaling: not supported yet", "set replicas"),
    Field("a longer request", "routing: {timeoutSeconds: 7200}", "E39", "timeoutSeconds: 7200", "3600"),
    probe("startup.initialDelaySeconds", "3"),
    probe("startup.periodSeconds", "3"),
    probe("startup.timeoutSeconds", "3"),
    probe("startup.failureThreshold", "3", "set rollout.timeoutSeconds"),
    probe("startup.successThreshold", "1"),
    Field("probes.readiness", "probes: {readiness: {periodSeconds: 3}}", "E47", "probes.readiness on Ray", "remove it"),
    probe("liveness.path", "/live"),
    probe("liveness.initialDelaySeconds", "3"),
    probe("liveness.failureThreshold", "3"),
    probe("liveness.successThreshold", "1"),
    Field("approval", "probes: {requireApproval: true}", "E49", "approval on Ray", "use Kubernetes"),
    Field("a claim", "volumes: [{name: a, pvc: data, mountPath: /data}]", "E43", "PVC 'data' on Ray", "use a file-system registry"),
    Field("a server's folder", "volumes: [{name: a, nfs: {server: n, path: /x}, mountPath: /data}]", "E73", "volumes: not supported yet"),
    Field("a node's folder", "volumes: [{name: a, hostPath: /x, mountPath: /data}]", "E73", "volumes: not supported yet"),
    Field("a topology", "placement: {topologyKey: topology.kubernetes.io/zone}", "E73", "a topology key: not supported yet"),
    Field("a priority", "placement: {priorityClass: high}", "E73", "a priority class: not supported yet"),
    Field("no scraping", "observability: {metrics: {scrape: false}}", "E73", "observability settings: not supported yet"),
)
BOTH = (  # written, and kept everywhere
    Field("one node", "parallelism: {nodes: 1}"),
    Field("no approval", "probes: {requireApproval: false}"),
    Field("no volumes", "volumes: []"),
    Field("a node each", "placement: {topologyKey: kubernetes.io/hostname, priorityClass: ''}"),
    Field("a liveness probe", "probes: {startup: {path: /ready}, liveness: {periodSeconds: 2, timeoutSeconds: 30}}"),
    Field("a strategy", "routing: {strategy: least-request, timeoutSeconds: 3600}"),
    Field("a rollout", "rollout: {maxSurge: 0, maxUnavailable: 1, timeoutSeconds: 600}"),
    Field("paused", "paused: true"),
)


def errors_of(problems: list[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def line_of(documents: tuple[str, ...]) -> int:
    """The last line: each case ends with what it is about."""
    return len(text_of(*documents).splitlines())


@pytest.mark.parametrize("field", [*FIELDS, *BOTH], ids=lambda field: field.story)
def test_a_field_is_accepted_on_kubernetes(field: Field) -> None:
    made, problems = compiled(*field.on("east"))

    assert (errors_of(problems), made is not None) == ([], True)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.story)
def test_a_field_that_ray_cannot_keep_is_refused_at_its_place(field: Field) -> None:
    documents = field.on("lab")
    found = errors_of(list(desired(*documents).problems))

    assert [(problem.code, problem.where) for problem in found] == [(field.code, f"{PATH}:{line_of(documents)}")]
    assert field.what in found[0].what
    assert field.todo in found[0].todo


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.story)
def test_who_is_refused_keeps_what_he_has(field: Field) -> None:
    found = desired(*field.on("lab"))

    assert (list(found.blocked), list(found.resources)) == (["Endpoint/team-a/chat"], [])


@pytest.mark.parametrize("field", BOTH, ids=lambda field: field.story)
def test_what_both_can_do_is_accepted_on_ray(field: Field) -> None:
    assert errors_of(list(desired(*field.on("lab")).problems)) == []


def test_a_metric_that_ray_cannot_follow_is_named() -> None:
    found = desired(*Field("", "autoscaling: {metric: {type: qpm, target: 60}}").on("lab"))

    assert sorted(problem.code for problem in errors_of(list(found.problems))) == ["E41", "E73"]
    assert "metric 'qpm' on Ray" in [problem.what for problem in found.problems]


LIMITED = (
    Field("half an accelerator", "", "E6", "0.5 accelerators on Kubernetes", "a whole number", GPU_K8S.replace("count: 2", "count: 0.5")),
    Field("nodes without LeaderWorkerSet", "parallelism: {nodes: 2}", "E63", "2 nodes per replica on east", "declare capability lws"),
    Field("a metric without KEDA", f"autoscaling: {{{METRIC}}}", "E40", "metric 'concurrency' on east", "install KEDA"),
    Field("a probe of a part of a second", "probes: {liveness: {periodSeconds: 2.5}}", "E39", "periodSeconds: 2.5", "a whole number"),
    Field("a time-out of a part of a second", "probes: {liveness: {timeoutSeconds: 0.5}}", "E39", "timeoutSeconds: 0.5", "a whole number"),
    Field("two successes of startup", "probes: {startup: {successThreshold: 2}}", "E48", "successThreshold 2", "remove it"),
    Field("two successes of liveness", "probes: {liveness: {successThreshold: 2}}", "E48", "successThreshold 2", "remove it"),
    Field("two successes of readiness", "probes: {readiness: {successThreshold: 2}}", "E73", "a success threshold of readiness: not"),
)


@pytest.mark.parametrize("field", LIMITED, ids=lambda field: field.story)
def test_what_a_plain_cluster_cannot_do_is_refused(field: Field) -> None:
    documents = (*BASE_K8S, *field.on("east")[-1:])
    _, problems = compiled(*documents)

    assert [(problem.code, problem.where) for problem in errors_of(problems)] == [(field.code, f"{PATH}:{line_of(documents)}")]
    assert field.what in errors_of(problems)[0].what
    assert field.todo in errors_of(problems)[0].todo


@pytest.mark.parametrize(
    ("has", "prometheus", "scaling", "codes"),
    [
        ("keda", True, "", []),
        ("keda", False, "", ["E40"]),
        ("metricsAdapter", False, "", []),
        ("", False, "minReplicas: 0, ", ["E38", "E40"]),
        ("keda", True, "minReplicas: 0, ", ["E38"]),
        ("keda, activator", True, "minReplicas: 0, ", []),
        ("keda, activator", True, "scaleToZero: {idleSeconds: 60, wake: activator}, ", []),
        ("keda", True, "scaleToZero: {}, ", ["E38"]),
        ("metricsAdapter, activator", False, "minReplicas: 0, ", ["E40"]),
    ],
)
def test_autoscaling_needs_what_does_it(has: str, prometheus: bool, scaling: str, codes: list[str]) -> None:
    cluster = CLUSTER_K8S.replace("  accelerators:", f"  capabilities: [{has}]\n  accelerators:")
    if prometheus:
        cluster = cluster.replace("kubernetes: {", "kubernetes: {prometheusUrl: 'http://prometheus:9090', ")
    _, problems = compiled(*replaced(cluster), CHAT_K8S + f"  autoscaling: {{{scaling}{METRIC}}}\n")

    assert sorted(problem.code for problem in errors_of(problems)) == codes


@pytest.mark.parametrize(("has", "codes"), [("keda", ["E42"]), ("keda, acceleratorExporter", [])])
def test_the_use_of_accelerators_is_followed_where_it_is_exported(has: str, codes: list[str]) -> None:
    cluster = ABLE[: ABLE.index("  capabilities")] + f"  capabilities: [{has}]\n" + ABLE[ABLE.index("  accelerators") :]
    text = GPU_K8S + "  autoscaling: {metric: {type: accelerator-utilization, target: 80}}\n"

    assert [problem.code for problem in errors_of(compiled(*replaced(cluster), text)[1])] == codes


@pytest.mark.parametrize(("metric", "codes"), [("concurrency", ["W15"]), ("latency-p95", ["W15"]), ("queue-depth", [])])
def test_a_metric_of_the_gateway_that_nothing_exports_is_told(metric: str, codes: list[str]) -> None:
    made, problems = compiled(*replaced(ABLE), CHAT_K8S + f"  autoscaling: {{metric: {{type: {metric}, target: 4}}}}\n")

    assert made is not None
    assert [problem.code for problem in problems if problem.code.startswith("W1")] == codes


def test_who_is_woken_by_a_commit_says_so() -> None:
    cluster = ABLE.replace(", activator]", "]")
    chat = CHAT_K8S.replace("workspace: team-a}", 'workspace: team-a, annotations: {reconciler.dev/allow: "E38"}}')
    made, problems = compiled(*replaced(cluster), chat + f"  autoscaling: {{minReplicas: 0, {METRIC}}}\n")

    assert made is not None
    assert [(problem.code, problem.severity) for problem in problems if problem.code == "E38"] == [("E38", Severity.WARNING)]


@pytest.mark.parametrize(
    ("strategy", "routed", "codes"),
    [
        ("round-robin", True, []),
        ("least-request", True, []),
        ("power-of-two", True, []),
        ("random", True, []),
        ("round-robin", False, ["E13"]),
        ("least-request", False, ["E13"]),
        ("random", False, []),
        ("", False, []),
    ],
)
def test_a_strategy_needs_a_gateway_that_holds_addresses(strategy: str, routed: bool, codes: list[str]) -> None:
    gateway = GATEWAY_K8S if routed else GATEWAY_K8S.replace("[east]", "[lab]")
    documents = (*replaced(CLUSTER_K8S, gateway), BASE[2], CHAT_K8S + (f"  routing: {{strategy: {strategy}}}\n" if strategy else ""))

    assert [problem.code for problem in errors_of(compiled(*documents)[1])] == codes


def test_every_row_of_the_tables_refuses_something_here() -> None:
    """A row that no case reaches may be wrong: a field that was renamed, a rule that is never true."""
    seen = {
        (RAY, problem.code, problem.path.replace("spec.", "", 1))
        for field in (*FIELDS, Field("", "autoscaling: {metric: {type: qpm, target: 60}}"))
        for problem in desired(*field.on("lab")).problems
    }
    bare = CLUSTER_K8S.replace("  accelerators:", "  capabilities: [keda]\n  accelerators:")
    sleepy = CHAT_K8S + "  autoscaling: {minReplicas: 0, metric: {type: accelerator-utilization, target: 1}}\n"
    alone = CHAT_K8S + "  routing: {strategy: round-robin}\n"
    cases = [(*BASE_K8S, *field.on("east")[-1:]) for field in LIMITED]
    cases += [(*replaced(bare), sleepy), (*replaced(bare.replace("keda", "metricsAdapter")), sleepy)]
    cases += [(*BASE_K8S[:3], *BASE_K8S[4:], alone)]
    seen |= {(KUBERNETES, problem.code, problem.path.replace("spec.", "", 1)) for case in cases for problem in compiled(*case)[1]}
    rows = {(kind, row.code, row.pointer.replace("*", "0").replace("/", ".")) for kind in LIMITS for row in LIMITS[kind]}

    assert rows - seen == set()
    assert len({(row.pointer, row.code, row.todo) for row in (*ON_RAY, *ON_KUBERNETES)}) == len(ON_RAY) + len(ON_KUBERNETES)


def test_a_default_is_never_refused() -> None:
    assert workload(*BASE_K8S, CHAT_K8S).container is not None
    assert not desired(*BASE, CHAT_K8S.replace("east", "lab")).blocked
