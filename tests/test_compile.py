"""What declarations become: resources, owners, targets, names; and what stays when something is broken."""

import json
from dataclasses import replace
from itertools import permutations

import pytest
from declarations_text import BASE, CHAT, CLUSTER, GATEWAY, GPU_CHAT, KEY, LLAMA, REGISTRY, TEAM, VLLM, desired, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.compile import compile_declarations
from reconciler.desired import Desired, Guards, Remembered, TargetSpec
from reconciler.engine_schemas import engine_schemas
from reconciler.resource import DriftMode, Json, Resource, ResourceKey, canonical

ENDPOINT = "Endpoint/team-a/chat"
WORKLOAD = ResourceKey("lab", "ServeApplication", "team-a", "chat")
ROUTE = ResourceKey("public", "Route", "team-a", "chat")
SETTINGS = "kind: Settings\nmetadata: {name: prod}\nspec: {guards: {maxDeletes: 5%}, drift: report, status: {branch: 'st/{target}'}}\n"


def named(name: str, served: str = "", base: str = CHAT) -> str:
    """An endpoint like `base` with another name, and perhaps a served name."""
    text = base.replace("name: chat,", f"name: {name},")
    return text.replace("file: smollm2.gguf", f"file: smollm2.gguf, servedName: {served}") if served else text


def command(found: Desired, key: ResourceKey = WORKLOAD) -> list[str]:
    args = found.resources[key].manifest["args"]
    assert isinstance(args, dict)
    return list(args["command"])


def field_of(resource: Resource, *path: str | int) -> Json:
    value: Json = resource.manifest
    for step in path:
        value = value[step]  # type: ignore[index, call-overload]  # a path of the manifest that the test wrote
    return value


def memory_of(found: Desired, **more: object) -> Remembered:
    """What the next pass remembers of an applied one."""
    base = Remembered(found.revision, found.instance, found.guards, found.drift, found.status_branch, found.targets, found.aliases)
    return replace(base, declared=found.declared, **more)  # type: ignore[arg-type]  # fields by name


# --- an endpoint


def test_an_endpoint_becomes_a_workload_and_a_route_that_needs_it() -> None:
    found = desired(*BASE, CHAT)

    assert list(found.resources) == [WORKLOAD, ROUTE]
    assert found.resources[ROUTE].needs == (WORKLOAD,)
    assert {resource.owner for resource in found.resources.values()} == {ENDPOINT}
    assert not found.problems


def test_an_owner_says_where_and_under_which_address() -> None:
    owner = desired(*BASE, CHAT).owners[ENDPOINT]

    assert (owner.url, owner.targets, owner.asleep) == ("http://127.0.0.1:8080/team-a/chat/v1", ("lab", "public"), False)
    assert owner.versions == {"engine": "llama-cpp b11549"}
    assert owner.source.startswith("repo.yaml:")


def test_the_base_url_of_the_gateway_is_the_one_that_clients_see() -> None:
    gateway = GATEWAY.replace("clusters:", "baseUrl: https://llm.example.com, clusters:")
    found = desired(LLAMA, VLLM, CLUSTER, gateway, TEAM, REGISTRY, CHAT)

    assert found.owners[ENDPOINT].url == "https://llm.example.com/team-a/chat/v1"


def test_the_newest_declared_version_serves_where_none_is_named() -> None:
    older, newer = (LLAMA[LLAMA.index("  - version") :].replace("b11549\n", f"{version}\n", 1) for version in ("b9999", "b12000"))
    found = desired(LLAMA + older + newer, *BASE[1:], CHAT.replace(", version: b11549", ""))

    assert found.owners[ENDPOINT].versions == {"engine": "llama-cpp b12000"}
    assert [problem.code for problem in found.problems] == ["W2"]


def test_without_a_gateway_an_endpoint_is_served_and_not_routed() -> None:
    found = desired(LLAMA, VLLM, CLUSTER, TEAM, REGISTRY, CHAT)

    assert list(found.resources) == [WORKLOAD]
    assert found.owners[ENDPOINT].url == ""


@pytest.mark.parametrize(
    ("task", "paths"),
    [
        ("text-generation", ["GET /v1/models", "POST /v1/chat/completions", "POST /v1/completions"]),
        ("text-embedding", ["GET /v1/models", "POST /v1/embeddings"]),
    ],
)
def test_a_route_exposes_the_paths_of_its_task_and_no_others(task: str, paths: list[str]) -> None:
    found = desired(*BASE, CHAT.replace("file: smollm2.gguf", f"file: smollm2.gguf, task: {task}"))

    assert found.resources[ROUTE].manifest["paths"] == paths


@pytest.mark.parametrize(("seconds", "grace"), [(60, 330.0), (300, 330.0), (301, 331.0), (3600, 3630.0)])
def test_a_replica_gets_time_to_finish_the_longest_request(seconds: int, grace: float) -> None:
    found = desired(*BASE, CHAT + f"  routing: {{timeoutSeconds: {seconds}}}\n")

    assert field_of(found.resources[WORKLOAD], "deployments", 0, "graceful_shutdown_timeout_s") == grace
    assert found.resources[ROUTE].manifest["timeoutSeconds"] == float(seconds)


@pytest.mark.parametrize(
    ("rollout", "surge"),
    [("strategy: RollingUpdate", 100), ("strategy: Recreate", 0), ("maxSurge: 0, maxUnavailable: 1", 0)],
)
def test_the_rollout_decides_whether_new_replicas_start_beside_the_old_ones(rollout: str, surge: int) -> None:
    found = desired(*BASE, CHAT + f"  rollout: {{{rollout}}}\n")

    assert field_of(found.resources[WORKLOAD], "deployments", 0, "max_surge_percent") == surge


def test_a_secret_is_a_file_name_in_the_manifest() -> None:
    store = CLUSTER + "  secrets: {directory: /run/secrets}\n"
    env = "  env: [{name: A, value: b}, {name: HF_TOKEN, secretRef: {name: hf, key: token}}]\n"
    found = desired(LLAMA, VLLM, store, GATEWAY, TEAM, REGISTRY, CHAT + env)

    assert field_of(found.resources[WORKLOAD], "args", "env") == {"A": "b"}
    assert field_of(found.resources[WORKLOAD], "args", "secret_files") == {"HF_TOKEN": "/run/secrets/hf/token"}


def test_a_secret_of_one_value_is_a_file_of_its_own() -> None:
    store = CLUSTER + "  secrets: {directory: /run/secrets/}\n"
    found = desired(LLAMA, VLLM, store, GATEWAY, TEAM, REGISTRY, CHAT + "  env: [{name: T, secretRef: {name: hf-token}}]\n")

    assert field_of(found.resources[WORKLOAD], "args", "secret_files") == {"T": "/run/secrets/hf-token"}


def test_accelerators_are_counted_by_the_clusters_name_for_them() -> None:
    found = desired(*BASE, GPU_CHAT)

    assert field_of(found.resources[WORKLOAD], "deployments", 0, "ray_actor_options", "num_gpus") == 2.0


def test_protect_and_drift_come_along() -> None:
    found = desired(
        *BASE, CHAT.replace("workspace: team-a}", "workspace: team-a, annotations: {reconciler.dev/drift: off}}") + "  protect: true\n"
    )

    assert {(resource.protect, resource.drift) for resource in found.resources.values()} == {(True, DriftMode.OFF)}


# --- model paths


@pytest.mark.parametrize(
    ("ray", "registry", "model", "path"),
    [
        ("local: true", ".", "name: smollm2, file: a.gguf", "{models}/smollm2/a.gguf"),
        ("local: true", "gguf/", "name: smollm2, file: a.gguf", "{models}/gguf/smollm2/a.gguf"),
        ("local: true", ".", "name: smollm2, version: v2, file: a.gguf", "{models}/smollm2/v2/a.gguf"),
        ("local: true", ".", "name: org/smollm2, file: sub/a.gguf", "{models}/org/smollm2/sub/a.gguf"),
        ("local: true, modelRoot: /mnt/m/", ".", "name: smollm2, file: a.gguf", "/mnt/m/smollm2/a.gguf"),
        ("local: true", "/srv/models/", "name: smollm2, file: a.gguf", "/srv/models/smollm2/a.gguf"),
        ("dashboardUrl: http://head:8265", "/srv", "name: smollm2, file: a.gguf", "/srv/smollm2/a.gguf"),
        ("dashboardUrl: http://head:8265, modelRoot: /mnt", "x", "name: smollm2, file: a.gguf", "/mnt/x/smollm2/a.gguf"),
    ],
)
def test_a_model_is_a_file_below_its_registry(ray: str, registry: str, model: str, path: str) -> None:
    cluster = CLUSTER.replace("local: true", ray)
    files = REGISTRY.replace("path: .", f"path: {registry}")
    found = desired(LLAMA, VLLM, cluster, GATEWAY, TEAM, files, CHAT.replace("name: smollm2, file: smollm2.gguf", model))

    assert command(found)[:3] == ["llama-server", "-m", path]


def test_a_workspaces_own_registry_comes_before_the_global_one() -> None:
    own = REGISTRY.replace("name: files", "name: files, workspace: team-a").replace("path: .", "path: /team")

    assert command(desired(*BASE, own, CHAT))[2] == "/team/smollm2/smollm2.gguf"


def test_a_registry_of_another_workspace_is_not_seen() -> None:
    theirs = REGISTRY.replace("name: files", "name: files, workspace: team-b")
    found = desired(*BASE[:5], "kind: Workspace\nmetadata: {name: team-b}\n", theirs, CHAT)

    assert [problem.code for problem in found.problems] == ["E3"]


# --- paused


def test_a_paused_endpoint_has_a_route_that_says_so_and_no_workload() -> None:
    found = desired(*BASE, CHAT + "  paused: true\n")

    assert list(found.resources) == [ROUTE]
    assert (found.resources[ROUTE].manifest["paused"], found.resources[ROUTE].needs) == (True, ())
    assert found.owners[ENDPOINT].asleep


def test_a_paused_endpoint_is_checked_all_the_same() -> None:
    found = desired(*BASE, CHAT.replace("cluster: lab", "cluster: lob") + "  paused: true\n")

    assert list(found.blocked) == [ENDPOINT]
    assert found.owners[ENDPOINT].asleep


# --- keys


@pytest.mark.parametrize(
    ("rule", "grants"),
    [
        ("", ["ws:team-a"]),
        ("endpoints: [],", []),
        ("models: [],", []),
        ("endpoints: [rank, chat],", ["ep:team-a/chat", "ep:team-a/rank"]),
        ("models: [SmolLM],", ["ep:team-a/chat"]),
        ("models: [team-a/rank],", ["ep:team-a/rank"]),
        ("endpoints: [chat], models: [team-a/rank],", []),
        ("endpoints: [chat, rank], models: [team-a/rank],", ["ep:team-a/rank"]),
    ],
)
def test_a_key_opens_what_it_names(rule: str, grants: list[str]) -> None:
    found = desired(*BASE, named("chat", "smollm"), named("rank"), KEY.replace("owner:", f"{rule} owner:"))

    assert found.resources[ResourceKey("public", "Key", "team-a", "ci")].manifest["grants"] == grants


def test_a_key_does_not_open_another_workspace() -> None:
    other = CHAT.replace("workspace: team-a", "workspace: team-b").replace("file:", "servedName: secret, file:")
    team = "kind: Workspace\nmetadata: {name: team-b}\n"
    found = desired(*BASE, team, other, KEY.replace("owner:", "models: [secret], owner:"))

    assert list(found.blocked) == ["ApiKey/team-a/ci"]


def test_a_disabled_key_is_declared_and_has_no_resource() -> None:
    found = desired(*BASE, KEY.replace("owner:", "disabled: true, owner:"))

    assert not found.resources
    assert found.owners["ApiKey/team-a/ci"].asleep


def test_every_gateway_gets_every_key() -> None:
    second = GATEWAY.replace("public", "second").replace("clusters", "output: {directory: g2}, clusters")
    found = desired(*BASE, second, KEY)

    assert {key.target for key in found.resources} == {"public", "second"}


def test_a_broken_key_keeps_its_access_and_comes_first() -> None:
    found = desired(*BASE, CHAT.replace("cluster: lab", "cluster: lob"), KEY.replace("owner:", "endpoints: [no], owner:"))

    assert found.problems[0].owner == "ApiKey/team-a/ci"
    assert "ApiKey/team-a/ci" in found.blocked


# --- model names


def test_a_model_has_the_name_of_its_endpoint_and_the_one_it_is_given() -> None:
    found = desired(*BASE, named("chat", "SmolLM"))

    assert found.resources[ROUTE].manifest["models"] == ["team-a/chat", "SmolLM"]
    assert found.aliases == {"smollm": ENDPOINT, "team-a/chat": ENDPOINT}


def test_two_newcomers_to_one_name_are_both_blocked() -> None:
    found = desired(*BASE, named("a", "m"), named("b", "M"))

    assert sorted(found.blocked) == ["Endpoint/team-a/a", "Endpoint/team-a/b"]
    assert {problem.code for problem in found.problems} == {"E60"}
    assert found.aliases == {}


def test_the_holder_of_a_name_keeps_it() -> None:
    before = desired(*BASE, named("b", "m"))
    found = desired(*BASE, named("a", "M"), named("b", "m"), remembered=memory_of(before))

    assert list(found.blocked) == ["Endpoint/team-a/a"]
    assert found.aliases["m"] == "Endpoint/team-a/b"
    assert found.problems[0].why.startswith("team-a/b has it now and keeps it")


def test_a_name_that_is_given_up_can_be_taken_in_the_same_commit() -> None:
    before = desired(*BASE, named("b", "m"))
    found = desired(*BASE, named("a", "m"), named("b", "n"), remembered=memory_of(before))

    assert not found.blocked
    assert (found.aliases["m"], found.aliases["n"]) == ("Endpoint/team-a/a", "Endpoint/team-a/b")


def test_a_broken_endpoint_keeps_the_names_of_its_live_route() -> None:
    """Its declaration says `n` now, and its route still carries `m`."""
    before = desired(*BASE, named("b", "m"))
    broken = named("b", "n").replace("cluster: lab", "cluster: lob")
    found = desired(*BASE, named("a", "m"), broken, remembered=memory_of(before))

    assert sorted(found.blocked) == ["Endpoint/team-a/a", "Endpoint/team-a/b"]
    assert found.aliases["m"] == "Endpoint/team-a/b"


def test_who_is_blocked_for_one_name_keeps_the_others_it_had() -> None:
    """c wants a's name and gives up its own, which d wants: c is refused, so it keeps its own, so d is refused too."""
    before = desired(*BASE, named("a", "one"), named("c", "two"))
    found = desired(*BASE, named("a", "one"), named("c", "one"), named("d", "two"), remembered=memory_of(before))

    assert sorted(found.blocked) == ["Endpoint/team-a/c", "Endpoint/team-a/d"]
    assert (found.aliases["one"], found.aliases["two"]) == ("Endpoint/team-a/a", "Endpoint/team-a/c")


def test_a_served_name_cannot_be_another_endpoints_own() -> None:
    before = desired(*BASE, CHAT)
    found = desired(*BASE, CHAT, named("thief", "Team-A/Chat"), remembered=memory_of(before))

    assert list(found.blocked) == ["Endpoint/team-a/thief"]


# --- isolation


@pytest.mark.parametrize(
    ("kind", "documents"),
    [
        ("Cluster", [LLAMA, VLLM, CLUSTER.replace("drainSeconds: 5", "drainSeconds: 1"), GATEWAY, TEAM, REGISTRY]),
        ("Gateway", [LLAMA, VLLM, CLUSTER, GATEWAY.replace("clusters: [lab]", "clusters: []"), TEAM, REGISTRY]),
        ("Engine", [LLAMA.replace("list: comma", "list: tabs"), VLLM, CLUSTER, GATEWAY, TEAM, REGISTRY]),
        ("ModelRegistry", [LLAMA, VLLM, CLUSTER, GATEWAY, TEAM, REGISTRY.replace("path: .", "path: ../x")]),
        ("Workspace", [LLAMA, VLLM, CLUSTER, GATEWAY, TEAM + "spec: {color: red}\n", REGISTRY]),
    ],
)
def test_what_is_broken_blocks_what_depends_on_it_and_says_so(kind: str, documents: list[str]) -> None:
    found = desired(*documents, CHAT)

    assert list(found.blocked) == [ENDPOINT]
    assert "is broken" in found.blocked[ENDPOINT][0].what
    assert kind.lower() in found.blocked[ENDPOINT][0].what.replace(" ", "")
    assert found.owners[ENDPOINT].source.startswith("repo.yaml:")


def test_a_broken_version_blocks_its_own_endpoints_only() -> None:
    bad = LLAMA[LLAMA.index("  - version") :].replace("b11549\n", "b1\n", 1).replace("model.path", "model.pth")
    found = desired(LLAMA + bad, *BASE[1:], CHAT, named("old").replace("version: b11549", "version: b1"))

    assert list(found.blocked) == ["Endpoint/team-a/old"]
    assert WORKLOAD in found.resources


@pytest.mark.parametrize(
    ("name", "old", "new"), [("lab", "drainSeconds: 5", "drainSeconds: 1"), ("public", "clusters: [lab]", "clusters: []")]
)
def test_a_broken_target_is_kept_as_it_was(name: str, old: str, new: str) -> None:
    before = desired(*BASE, CHAT)
    found = desired(*(document.replace(old, new) for document in BASE), CHAT, remembered=memory_of(before))

    assert found.targets[name] == before.targets[name]
    assert list(found.blocked) == [ENDPOINT]


def test_a_broken_gateway_keeps_its_keys() -> None:
    """A key without a resource there would be deleted there."""
    before = desired(*BASE, KEY)
    found = desired(*(document.replace("clusters: [lab]", "clusters: []") for document in BASE), KEY, remembered=memory_of(before))

    assert list(found.resources) == [ResourceKey("public", "Key", "team-a", "ci")]


def test_a_new_gateway_that_is_broken_disturbs_nobody() -> None:
    found = desired(*BASE, GATEWAY.replace("public", "second").replace("clusters: [lab]", "clusters: []"), CHAT)

    assert (found.blocked, list(found.targets)) == ({}, ["lab", "public"])
    assert ROUTE in found.resources


def test_a_reference_into_a_file_that_does_not_parse_says_so() -> None:
    found = desired(
        *(document for document in BASE if document is not CLUSTER), CHAT, other="apiVersion: reconciler.dev/v1alpha1\nkind: [\n"
    )

    assert any("what stands in other.yaml is not known" in problem.why for problem in found.blocked[ENDPOINT])


def test_a_file_that_nobody_knows_forbids_every_delete() -> None:
    found = desired(*BASE, CHAT, other="apiVersion: reconciler.dev/v1alpha1\nkind: [\n")

    assert found.no_deletes == "nothing is deleted: what is declared in other.yaml is not known"
    assert WORKLOAD in found.resources


def test_broken_settings_keep_the_last_good_ones() -> None:
    before = desired(*BASE, SETTINGS)
    found = desired(*BASE, SETTINGS.replace("drift: report", "drift: maybe"), remembered=memory_of(before))

    assert (found.instance, found.guards, found.drift, found.status_branch) == (
        "prod",
        Guards(max_deletes=0.05),
        DriftMode.REPORT,
        "st/{target}",
    )


def test_broken_settings_on_a_first_pass_still_say_whose_targets_these_are() -> None:
    found = desired(*BASE, SETTINGS.replace("drift: report", "drift: maybe"))

    assert (found.instance, found.guards) == ("prod", Guards())


def test_no_settings_are_the_defaults() -> None:
    found = desired(*BASE)

    assert (found.instance, found.guards, found.drift, found.status_branch) == ("default", Guards(), DriftMode.HEAL, "status/{target}")


# --- targets


def test_targets_carry_what_their_folders_need() -> None:
    found = desired(*BASE)

    assert found.targets["lab"] == TargetSpec(
        "lab",
        "ray",
        {
            "local": True,
            "dashboardUrl": "",
            "serveUrl": "",
            "tokenRef": None,
            "modelRoot": "",
            "secretsDirectory": "",
            "accelerators": [{"type": "nvidia-h100", "resourceKey": "GPU", "nodeSelector": {}, "count": 8.0}],
        },
        drain_seconds=5.0,
        source=found.targets["lab"].source,
    )
    assert found.targets["public"].binds == ("lab",)
    assert found.targets["public"].settings == {
        "directory": "gateway",
        "run": False,
        "address": "127.0.0.1",
        "port": 8080,
        "baseUrl": "http://127.0.0.1:8080",
        "maxRequestBytes": 10 * 1024 * 1024,
    }


def test_another_kind_of_target_can_stand_in_for_a_declared_one() -> None:
    found = desired(*BASE, CHAT, KEY, kinds={"ray": "memory", "envoy": "memory"})

    assert {target.type for target in found.targets.values()} == {"memory"}
    assert [str(key) for key in found.resources] == ["lab: Workload/team-a/chat", "public: Key/team-a/ci", "public: Route/team-a/chat"]


# --- properties


DOCUMENTS = (*BASE, named("chat", "m"), named("rank", "m"), named("other"), GPU_CHAT.replace("name: chat", "name: gpu"), KEY)


def fingerprint(found: Desired) -> str:
    """Everything but places, which follow the order of the text."""
    rows: dict[str, Json] = {str(key): [dict(resource.manifest), resource.owner] for key, resource in found.resources.items()}
    return canonical(
        [
            rows,
            dict(found.aliases),
            {owner: [p.code for p in why] for owner, why in found.blocked.items()},
            sorted(found.owners),
            list(rows),
        ]
    )


@settings(max_examples=25, deadline=None)
@given(st.permutations(DOCUMENTS))
def test_the_order_of_declarations_does_not_matter(documents: list[str]) -> None:
    assert fingerprint(desired(*documents)) == fingerprint(desired(*DOCUMENTS))


def test_the_same_input_gives_the_same_value() -> None:
    revision, schemas = snapshot(*DOCUMENTS), engine_schemas()

    first, second = (compile_declarations(revision, Remembered(), schemas) for _ in range(2))

    assert first == second
    assert [resource.digest for resource in first.resources.values()] == [resource.digest for resource in second.resources.values()]


def test_arguments_in_any_order_are_one_command() -> None:
    pairs = ["ctx_size: 1", "threads: 2", "pooling: mean", "no_host: true"]
    commands = {
        tuple(command(desired(*BASE, CHAT.replace("version: b11549}", f"version: b11549, args: {{{', '.join(order)}}}}}"))))
        for order in list(permutations(pairs))[::5]
    }

    assert len(commands) == 1


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
argument_names = st.sampled_from(["ctx_size", "ctx-size", "ngl", "warmup", "json_schema", "host", "tensor_split", "logit_bias"]) | st.text(
    max_size=6
)
words = st.text(max_size=6) | st.sampled_from(["-m", "--host", "--", "-", "--=", "{{ x }}", "{port}"])


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(argument_names, anything, max_size=4), st.lists(words, max_size=3), words, st.text(max_size=5))
def test_nothing_that_is_declared_makes_compile_raise(args: dict[str, Json], extra: list[str], word: str, served: str) -> None:
    """Either the endpoint compiles to a workload and a route, or it is blocked with reasons that have a place."""
    engine = json.dumps({"name": "llama-cpp", "version": "b11549", "args": args, "extraArgs": extra})
    chat = CHAT.replace("{name: llama-cpp, version: b11549}", engine).replace(
        "smollm2.gguf", f"smollm2.gguf, servedName: {json.dumps(served)}"
    )
    found = desired(LLAMA.replace("llama-server", json.dumps(word)), *BASE[1:], chat)

    compiled = {resource.owner for resource in found.resources.values()}
    assert (ENDPOINT in compiled) != (ENDPOINT in found.blocked)
    assert all(problem.where for problem in found.problems)
