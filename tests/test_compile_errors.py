"""Every mistake that compile can find: one document is wrong, and the message says where, what, why and what to do."""

import pytest
from declarations_text import BASE, CHAT, CLUSTER, GATEWAY, GPU_CHAT, KEY, LLAMA, PATH, REGISTRY, TEAM, VLLM, desired, text_of

from reconciler.errors import Severity


def line_of(documents: tuple[str, ...], marker: str) -> int:
    """The line on which the marker stands, in the text that `snapshot` makes of the documents."""
    text = text_of(*documents)
    assert text.count(marker) == 1, marker
    return text[: text.index(marker)].count("\n") + 1


def chat(old: str, new: str, base: str = CHAT) -> tuple[str, ...]:
    assert old in base
    return (*BASE, base.replace(old, new))


ARGS = "version: b11549}\n"
ENV_SECRET = "  env: [{name: T, secretRef: {name: hf, key: token}}]\n"
RUNNING = GATEWAY.replace("type:", "output: {run: true}, type:")
STORE = CLUSTER + "  secrets: {directory: /run/secrets}\n"

# code, documents, what marks the line, owner, words of the message
CASES = {
    "an undeclared cluster": ("E67", chat("cluster: lab", "cluster: lob"), "cluster: lob", "'lob' is not declared", "did you mean 'lab'?"),
    "an undeclared gateway": (
        "E67",
        chat("cluster: lab", "cluster: lab\n  gateway: pubic"),
        "gateway: pubic",
        "gateway 'pubic' is not declared",
        "did you mean 'public'?",
    ),
    "an undeclared engine": ("E67", chat("llama-cpp", "lama-cpp"), "lama-cpp, version", "engine 'lama-cpp' is not declared", "llama-cpp"),
    "an undeclared engine version": (
        "E67",
        chat("version: b11549}", "version: b11594}"),
        "version: b11594}",
        "version 'b11594' of engine 'llama-cpp' is not declared",
        "did you mean 'b11549'?",
    ),
    "an undeclared workspace": (
        "E67",
        chat("workspace: team-a", "workspace: team-b"),
        "workspace: team-b",
        "workspace 'team-b' is not declared",
        "did you mean 'team-a'?",
    ),
    "a model name that is a list": (
        "E2",
        chat("file: smollm2.gguf", "file: smollm2.gguf, servedName: 'a,b'"),
        "a,b",
        "'a,b' is not a valid model name",
        "try 'a-b'",
    ),
    "a model name that matches everything": (
        "E2",
        chat("file: smollm2.gguf", "file: smollm2.gguf, servedName: '*'"),
        "servedName: '*'",
        "'*' is not a valid model name",
        "try 'my-model'",
    ),
    "an undeclared registry": (
        "E3",
        chat("registry: files", "registry: hf"),
        "registry: hf",
        "'hf' does not exist",
        "known registries: files",
    ),
    "a gateway that does not route to the cluster": (
        "E67",
        (*chat("cluster: lab", "cluster: other\n  gateway: public"), CLUSTER.replace("name: lab", "name: other")),
        "gateway: public",
        "gateway 'public' does not route to cluster 'other'",
        "add other to spec.clusters of gateway public",
    ),
    "two gateways and none named": (
        "E67",
        (*BASE, CHAT, GATEWAY.replace("public", "second").replace("clusters", "output: {directory: g2}, clusters")),
        "spec:\n  cluster: lab",
        "public, second may route to cluster 'lab'",
        "set spec.gateway",
    ),
    "an unknown argument": (
        "E14",
        chat(ARGS, "version: b11549, args: {ctx_szie: 1}}\n"),
        "ctx_szie",
        "unknown argument 'ctx_szie'",
        "did you mean 'ctx_size'?",
    ),
    "an argument of the wrong type": (
        "E14",
        chat(ARGS, "version: b11549, args: {ctx-size: many}}\n"),
        "ctx-size: many",
        '"many" is not a whole number',
        "llama-cpp b11549 accepts for ctx_size",
    ),
    "a boolean where a number belongs": (
        "E14",
        chat(ARGS, "version: b11549, args: {ctx-size: true}}\n"),
        "ctx-size: true",
        "true is not a whole number",
        "correct it",
    ),
    "an argument out of range": ("E14", chat(ARGS, "version: b11549, args: {poll: 101}}\n"), "poll: 101", "101 is not at most 100", ""),
    "an argument that is none of the choices": (
        "E14",
        chat(ARGS, "version: b11549, args: {pooling: avg}}\n"),
        "pooling: avg",
        '"avg" is not one of none, mean, cls, last, rank',
        "",
    ),
    "an argument that is null": (
        "E14",
        chat(ARGS, "version: b11549, args: {ctx_size: null}}\n"),
        "ctx_size: null",
        "null is not a value: leave the key out instead",
        "",
    ),
    "an argument in two spellings": (
        "E14",
        chat(ARGS, "version: b11549, args: {ctx_size: 1, ctx-size: 2}}\n"),
        "ctx-size: 2",
        "argument 'ctx_size' twice",
        "remove one",
    ),
    "an argument under two names": (
        "E14",
        chat(ARGS, "version: b11549, args: {n_gpu_layers: 1, gpu-layers: 2}}\n"),
        "gpu-layers: 2",
        "argument 'n_gpu_layers' twice",
        "remove one",
    ),
    "an argument of the platform": (
        "E58",
        chat(ARGS, "version: b11549, args: {api-key: x}}\n"),
        "api-key: x",
        "'api-key' in engine.args",
        "use an ApiKey",
    ),
    "a raw flag of the platform": (
        "E58",
        chat(ARGS, 'version: b11549, extraArgs: ["--host=0.0.0.0"]}\n'),
        "0.0.0.0",
        "'--host' in engine.extraArgs",
        "use the cluster",
    ),
    "a short flag of the platform": (
        "E58",
        chat(ARGS, "version: b11549, extraArgs: [-m, /etc/passwd]}\n"),
        "/etc/passwd",
        "'-m' in engine.extraArgs",
        "use model.file",
    ),
    "a short flag of the platform with its value in one word": (
        "E58",
        chat(ARGS, "version: b11549, extraArgs: [-m/etc/passwd]}\n"),
        "-m/etc/passwd",
        "'-m/etc/passwd' in engine.extraArgs",
        "use model.file",
    ),
    "an abbreviated flag of the platform": (
        "E58",
        chat("version: v0.33.0}", "version: v0.33.0, extraArgs: [--served-mod, x]}", GPU_CHAT),
        "--served-mod",
        "'--served-mod' in engine.extraArgs",
        "use model.servedName",
    ),
    "an environment variable of the engine's own": (
        "E31",
        (*BASE, CHAT + "  env: [{name: LLAMA_API_KEY, value: x}]\n"),
        "LLAMA_API_KEY",
        "env 'LLAMA_API_KEY'",
        "remove it",
    ),
    "a task that the version does not serve": (
        "E9",
        chat("file: smollm2.gguf", "file: smollm2.gguf, task: text-rerank"),
        "text-rerank",
        "task 'text-rerank' is not served by llama-cpp b11549",
        "it serves text-embedding, text-generation",
    ),
    "an engine without the OpenAI API": (
        "E28",
        (LLAMA.replace("tasks:", "apis: [native]\n    tasks:"), *BASE[1:], CHAT),
        "engine: {name: llama-cpp, version",
        "API 'openai' on team-a/chat",
        "offers native",
    ),
    "a file-based engine without a file": (
        "E7",
        chat(", file: smollm2.gguf", ""),
        "model: {registry: files, name: smollm2}",
        "model.file is empty",
        "give the exact file",
    ),
    "a pattern for a file": ("E7", chat("smollm2.gguf", "'*.gguf'"), "*.gguf", "model.file '*.gguf' is a pattern", "give the exact name"),
    "a pattern for a folder": (
        "E7",
        chat("name: smollm2,", "name: smol*,"),
        "name: smol*",
        "model.name 'smol*' is a pattern",
        "give the exact",
    ),
    "a model path with an empty part": (
        "E78",
        chat("name: smollm2,", "name: a//b,"),
        "name: a//b",
        "'a//b' leads elsewhere",
        "without a leading /",
    ),
    "a relative registry without a model root": (
        "E34",
        (LLAMA, VLLM, CLUSTER.replace("local: true", "dashboardUrl: http://head:8265"), GATEWAY, TEAM, REGISTRY, CHAT),
        "registry: files",
        "cluster lab has no model root",
        "set ray.modelRoot",
    ),
    "an accelerator that the cluster has not": (
        "E5",
        chat("type: nvidia-h100", "type: nvidia-h200", GPU_CHAT),
        "nvidia-h200",
        "accelerator 'nvidia-h200' is not offered by cluster lab",
        "it offers nvidia-h100",
    ),
    "degrees that do not multiply to the accelerators": (
        "E15",
        (*BASE, GPU_CHAT + "  parallelism: {tensor: 4}\n"),
        "parallelism",
        "4 x 1 x 1 = 4",
        "the replica has 2 accelerators",
    ),
    "stages that do not divide the accelerators": (
        "E15",
        (*BASE, GPU_CHAT + "  parallelism: {pipeline: 3}\n"),
        "parallelism",
        "1 x 3 x 1 = 3",
        "the replica has 2 accelerators",
    ),
    "a degree that the engine has no argument for": (
        "E16",
        (*BASE, GPU_CHAT + "  parallelism: {tensor: 1, data: 2}\n"),
        "parallelism",
        "data parallel with vllm v0.33.0",
        "choose another degree or engine",
    ),
    "a share of an accelerator and an engine that cannot be bounded": (
        "E21",
        (*BASE, CHAT + "  resources: {cpu: 1, accelerator: {type: nvidia-h100, count: 0.5}}\n"),
        "count: 0.5",
        "has no argument that bounds its memory",
        "allow E21",
    ),
    "more memory than the share": (
        "E21",
        (*BASE, GPU_CHAT.replace("count: 2", "count: 0.5").replace("v0.33.0}", "v0.33.0, args: {gpu_memory_utilization: 0.8}}")),
        "gpu_memory_utilization: 0.8",
        "0.5 of an accelerator but memory share 0.8",
        "it is set to 0.45",
    ),
    "a secret without a store": ("E32", (*BASE, CHAT + ENV_SECRET), "secretRef", "cluster lab has no secret store", "secrets.directory"),
    "a secret that is a path": (
        "E78",
        (LLAMA, VLLM, STORE, GATEWAY, TEAM, REGISTRY, CHAT + ENV_SECRET.replace("key: token", "key: ../../etc/passwd")),
        "secretRef",
        "'../../etc/passwd' is not an entry of a secret store",
        "one name, not a path",
    ),
    "a cluster and a gateway of one name": (
        "E79",
        (*BASE, GATEWAY.replace("public", "lab").replace("type:", "output: {directory: g2}, type:")),
        "metadata: {name: lab}\nspec: {output",
        "'lab' is the name of a cluster and of a gateway",
        "rename this one",
    ),
    "a gateway that writes over what we remember": (
        "E78",
        (*BASE[:3], GATEWAY.replace("type:", "output: {directory: ./locks/x}, type:"), TEAM, REGISTRY),
        "directory: ./locks/x",
        "'./locks/x' is a folder of the reconciler itself",
        "gateways/public",
    ),
    "two gateways that write one folder": (
        "E79",
        (*BASE, GATEWAY.replace("public", "second").replace("type:", "output: {directory: ./gateway/}, type:")),
        "directory: ./gateway/",
        "folder 'gateway' is used by gateway public too",
        "choose another",
    ),
    "two gateways that listen on one port": (
        "E79",
        (*BASE[:3], RUNNING, TEAM, REGISTRY, RUNNING.replace("public", "second").replace("run: true", "run: true, directory: g2")),
        "directory: g2",
        "port 8080 is used by gateway public too",
        "choose another",
    ),
    "a gateway to an undeclared cluster": (
        "E67",
        (LLAMA, VLLM, CLUSTER, GATEWAY.replace("[lab]", "[lab, lob]"), TEAM, REGISTRY),
        "lob",
        "cluster 'lob' is not declared",
        "did you mean 'lab'?",
    ),
    "a key to an undeclared endpoint": (
        "E67",
        (*BASE, CHAT, KEY.replace("owner:", "endpoints: [chta], owner:")),
        "chta",
        "endpoint 'chta' is not declared",
        "did you mean 'chat'?",
    ),
    "a key to an unknown model": (
        "E67",
        (*BASE, CHAT, KEY.replace("owner:", "models: [gpt-4], owner:")),
        "gpt-4",
        "model 'gpt-4' is not declared",
        "team-a/chat",
    ),
    "a key in two declarations": (
        "E69",
        (*BASE, KEY, KEY.replace("name: ci", "name: other").replace("id: aaaa", "id: bbbb")),
        "id: bbbb",
        "credential 'bbbb' stands at repo.yaml:",
        "remove one",
    ),
    "an argument schema that is not shipped": (
        "E67",
        (LLAMA.replace("llama.cpp-b11549.json", "llama.cpp-b1.json"), *BASE[1:]),
        "llama.cpp-b1.json",
        "argument schema 'builtin:engines/llama.cpp-b1.json' does not exist",
        "did you mean 'builtin:engines/llama.cpp-b11549.json'?",
    ),
    "a task argument that the schema has not": (
        "E14",
        (LLAMA.replace("{embedding: true}", "{is_embedding: true}"), *BASE[1:]),
        "is_embedding",
        "unknown argument 'is_embedding'",
        "did you mean 'embedding'?",
    ),
    "a template with an unknown variable": (
        "E20",
        (LLAMA.replace("{{ model.path }}", "{{ model.pth }}"), *BASE[1:]),
        "model.pth",
        "template variable 'model.pth' is not defined",
        "model.path",
    ),
    "a template that calls": (
        "E20",
        (LLAMA.replace("{{ model.path }}", "{{ range(9) }}"), *BASE[1:]),
        "range(9)",
        "call is not allowed in a word",
        "",
    ),
    "an engine without a command": (
        "E75",
        (LLAMA[: LLAMA.index("    command")], *BASE[1:]),
        "- version: b11549",
        "no command",
        "set command",
    ),
}


@pytest.mark.parametrize(("code", "documents", "marker", "what", "words"), CASES.values(), ids=CASES)
def test_a_mistake_is_told_with_its_place(code: str, documents: tuple[str, ...], marker: str, what: str, words: str) -> None:
    found = desired(*documents)

    place = f"{PATH}:{line_of(documents, marker)}"
    errors = [
        problem for problem in found.problems if problem.severity is Severity.ERROR and (problem.code, problem.where) == (code, place)
    ]
    assert len(errors) == 1, [problem.text() for problem in found.problems]
    assert (what in errors[0].what, words in errors[0].text()) == (True, True), errors[0].text()


@pytest.mark.parametrize("documents", [case[1] for case in CASES.values()], ids=CASES)
def test_what_is_wrong_is_blocked_and_has_no_resources(documents: tuple[str, ...]) -> None:
    found = desired(*documents)

    owners = {problem.owner or "" for problem in found.problems if problem.severity is Severity.ERROR}
    assert owners
    assert {owner for owner in owners if owner.startswith(("Endpoint/", "ApiKey/"))} == found.blocked.keys()
    assert not owners & {resource.owner for resource in found.resources.values()}


def test_one_run_shows_every_mistake() -> None:
    wrong = (
        CHAT.replace("cluster: lab", "cluster: lob").replace("registry: files", "registry: hf").replace("workspace: team-a", "workspace: t")
    )
    found = desired(*BASE, wrong.replace("version: b11549}", "version: b1}"))

    assert sorted(problem.code for problem in found.problems) == ["E3", "E67", "E67", "E67"]


def test_a_message_has_three_parts() -> None:
    found = desired(*chat("cluster: lab", "cluster: lob"))

    assert found.problems[0].text() == (
        "repo.yaml:57: endpoint team-a/chat: spec.cluster: cluster 'lob' is not declared [E67]\n"
        "  declared are lab\n"
        "  did you mean 'lab'? If not, correct the name, or declare it"
    )


def test_a_cluster_without_a_gateway_is_told_once_where_it_is_declared() -> None:
    """Not once for each of its endpoints."""
    other = CHAT.replace("name: chat", "name: other")
    (problem,) = desired(*(document for document in BASE if document is not GATEWAY), CHAT, other).problems

    assert (problem.code, problem.owner, problem.subject) == ("W13", "Cluster/lab", "cluster lab")
    assert problem.what == "no gateway routes to cluster 'lab'"
    assert problem.todo == "declare a Gateway with it in spec.clusters"
    assert problem.where.startswith("repo.yaml:")  # where the cluster is


def test_a_waived_error_is_a_warning() -> None:
    shared = CHAT + "  resources: {cpu: 1, accelerator: {type: nvidia-h100, count: 0.5}}\n"
    found = desired(*BASE, shared.replace("workspace: team-a}", 'workspace: team-a, annotations: {reconciler.dev/allow: "E21"}}'))

    assert {problem.code: problem.severity for problem in found.problems} == {"E21": Severity.WARNING, "W4": Severity.WARNING}
    assert not found.blocked


def test_an_error_that_cannot_be_waived_stays_an_error() -> None:
    waived = CHAT.replace("workspace: team-a}", 'workspace: team-a, annotations: {reconciler.dev/allow: "E67"}}')
    found = desired(*BASE, waived.replace("cluster: lab", "cluster: lob"))

    assert list(found.blocked) == ["Endpoint/team-a/chat"]


@pytest.mark.parametrize(
    ("documents", "code"),
    [
        (chat(", version: b11549", ""), "W2"),
        ((*(d for d in BASE if d is not GATEWAY), CHAT), "W13"),
        ((LLAMA.replace("    paths: {metrics: /metrics}\n", ""), *BASE[1:], CHAT), "W3"),
        (chat("cpu: 4, memory: 32Gi, ", "", GPU_CHAT), "W8"),
        (chat("count: 2", "count: 0.5", GPU_CHAT), "W4"),
    ],
)
def test_a_warning_blocks_nothing(documents: tuple[str, ...], code: str) -> None:
    found = desired(*documents)

    assert [(problem.code, problem.severity) for problem in found.problems] == [(code, Severity.WARNING)]
    assert not found.blocked
    assert VLLM in documents
