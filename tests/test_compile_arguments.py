"""How arguments become words of a command line, and that the shipped argument schemas are sound."""

import json
from pathlib import Path

import pytest
from declarations_text import BASE, CHAT, CLUSTER, GATEWAY, GPU_CHAT, LLAMA, REGISTRY, TEAM, VLLM, desired
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler.compile.argument_table import ArgumentTable, table_of
from reconciler.compile.commands import words_of
from reconciler.engine_schemas import engine_schemas
from reconciler.resource import Json, ResourceKey
from reconciler.schema.engine import ArgStyle

LLAMA_SCHEMA = "builtin:engines/llama.cpp-b11549.json"
VLLM_SCHEMA = "builtin:engines/vllm-v0.33.0.json"
STYLES = {
    "llama": ArgStyle.model_validate({"as": "flags", "case": "kebab", "bool": "flag", "list": "comma", "object": "json"}),
    "vllm": ArgStyle.model_validate({"as": "flags", "case": "kebab", "bool": "negate", "list": "space", "object": "json"}),
    "python": ArgStyle.model_validate({"as": "flags", "case": "snake", "bool": "value", "list": "repeat", "object": "json"}),
}


def command(*documents: str) -> list[str]:
    found = desired(*documents)
    assert not found.blocked, [problem.text() for problem in found.problems]
    args = found.resources[ResourceKey("lab", "ServeApplication", "team-a", "chat")].manifest["args"]
    assert isinstance(args, dict)
    return list(args["command"])


def table(name: str) -> ArgumentTable:
    return table_of(engine_schemas()[name])


def gpu(engine: str = "", more: str = "", count: float = 2) -> str:
    text = GPU_CHAT.replace("v0.33.0}", f"v0.33.0, {engine}}}") if engine else GPU_CHAT
    return text.replace("count: 2", f"count: {count}") + more


# --- order


def test_the_words_have_one_order() -> None:
    """Command, task, parallelism, arguments by name, shutdown, raw words as written."""
    chat = gpu("args: {seed: 1, max_model_len: 32768}, extraArgs: [--z, --a]").replace("name: qwen", "name: qwen, task: text-embedding")

    assert " ".join(command(*BASE, chat)) == (
        "vllm serve {models}/qwen --port {port} --convert embed --runner pooling --tensor-parallel-size 2 "
        "--max-model-len 32768 --seed 1 --shutdown-timeout 300 --z --a"
    )


def test_the_users_argument_replaces_the_tasks() -> None:
    chat = gpu("args: {convert: classify}").replace("name: qwen", "name: qwen, task: text-embedding")

    assert [word for word in command(*BASE, chat) if "convert" in word or word in ("embed", "classify")] == ["--convert", "classify"]


def test_a_time_to_finish_follows_the_longest_request() -> None:
    assert command(*BASE, gpu(more="  routing: {timeoutSeconds: 600}\n"))[-2:] == ["--shutdown-timeout", "600"]


# --- parallelism


@pytest.mark.parametrize(
    ("engine", "more", "count", "words"),
    [
        ("", "", 1, []),
        ("", "", 2, ["--tensor-parallel-size", "2"]),
        ("args: {tensor-parallel-size: 1}", "", 2, ["--tensor-parallel-size", "1"]),
        ("", "  parallelism: {tensor: 4}\n", 4, ["--tensor-parallel-size", "4"]),
        ("", "  parallelism: {pipeline: 2}\n", 4, ["--tensor-parallel-size", "2", "--pipeline-parallel-size", "2"]),
        ("", "  parallelism: {pipeline: 4}\n", 4, ["--pipeline-parallel-size", "4"]),
        ("", "", 0.5, []),
    ],
)
def test_auto_is_what_is_left_of_the_accelerators(engine: str, more: str, count: float, words: list[str]) -> None:
    found = command(*BASE, gpu(engine, more, count))

    assert [word for index, word in enumerate(found) if "parallel" in word or "parallel" in found[index - 1]] == words


def test_an_engine_that_splits_by_itself_gets_no_argument() -> None:
    chat = CHAT + "  resources: {cpu: 4, memory: 8Gi, accelerator: {type: nvidia-h100, count: 2}}\n"

    assert command(*BASE, chat)[-2:] == ["--alias", "team-a/chat"]


@pytest.mark.parametrize(("engine", "share"), [("", "0.45"), ("args: {gpu_memory_utilization: 0.3}", "0.3")])
def test_a_share_of_an_accelerator_bounds_the_engines_memory(engine: str, share: str) -> None:
    found = command(*BASE, gpu(engine, count=0.5))

    assert found[found.index("--gpu-memory-utilization") + 1] == share


# --- styles


@pytest.mark.parametrize(
    ("style", "name", "value", "words"),
    [
        ("llama", "ctx_size", 4096, ["--ctx-size", "4096"]),
        ("llama", "embedding", True, ["--embedding"]),
        ("llama", "embedding", False, []),
        ("llama", "warmup", False, ["--no-warmup"]),
        ("llama", "warmup", True, ["--warmup"]),
        ("llama", "tensor_split", [3, 1.5], ["--tensor-split", "3,1.5"]),
        ("llama", "logit_bias", ["1+1", "2-1"], ["--logit-bias", "1+1", "--logit-bias", "2-1"]),
        ("llama", "control_vector_layer_range", [1, 8], ["--control-vector-layer-range", "1", "8"]),
        ("llama", "n_gpu_layers", "all", ["--n-gpu-layers", "all"]),
        ("llama", "json_schema", {"b": 1, "a": [True, None]}, ["--json-schema", '{"a":[true,null],"b":1}']),
        ("llama", "chat_template", "{{ x }} \n'é", ["--chat-template", "{{ x }} \n'é"]),
        ("vllm", "enable_prefix_caching", True, ["--enable-prefix-caching"]),
        ("vllm", "enable_prefix_caching", False, ["--no-enable-prefix-caching"]),
        ("vllm", "cudagraph_capture_sizes", [1, 2], ["--cudagraph-capture-sizes", "1", "2"]),
        ("vllm", "swap_space", 0.0000001, ["--swap-space", "0.0000001"]),
        ("vllm", "swap_space", 1e22, ["--swap-space", "10000000000000000000000"]),
        ("python", "embedding", False, ["--embedding", "false"]),
        ("python", "lora", ["a", "b"], ["--lora", "a", "--lora", "b"]),
        ("python", "ctx_size", 1, ["--ctx_size", "1"]),
    ],
)
def test_a_value_becomes_words_by_the_versions_style(style: str, name: str, value: Json, words: list[str]) -> None:
    argument = table(VLLM_SCHEMA if style == "vllm" else LLAMA_SCHEMA).arguments[name]

    assert argument.broken_rule(value) == ""
    assert words_of(argument, value, STYLES[style]) == words


@pytest.mark.parametrize("spelling", ["n_gpu_layers", "n-gpu-layers", "gpu_layers", "gpu-layers", "ngl"])
def test_every_spelling_is_one_argument(spelling: str) -> None:
    found = command(*BASE, CHAT.replace("version: b11549}", f"version: b11549, args: {{{spelling}: 3}}}}"))

    assert found[-2:] == ["--n-gpu-layers", "3"]


def test_a_word_is_never_a_shell_string() -> None:
    found = command(*BASE, CHAT.replace("version: b11549}", "version: b11549, args: {tags: ['a; rm -rf /', $(x)]}}"))

    assert found[-1] == "a; rm -rf /,$(x)"


def test_the_command_on_ray_comes_before_the_images() -> None:
    own = LLAMA + '    ray: {command: ["{{ python }}", -m, server, -m, "{{ model.path }}"]}\n'

    assert command(own, VLLM, CLUSTER, GATEWAY, TEAM, REGISTRY, CHAT) == ["{python}", "-m", "server", "-m", "{models}/smollm2/smollm2.gguf"]


# --- the schemas that are shipped


@pytest.mark.parametrize("name", sorted(engine_schemas()))
def test_a_shipped_schema_is_valid_closed_and_said_in_our_dialect(name: str) -> None:
    schema = engine_schemas()[name]
    Draft202012Validator.check_schema(schema)

    found = table_of(schema)

    assert len(found.arguments) > 100
    for key, rule in schema["properties"].items():  # type: ignore[union-attr, call-overload]  # a schema, as just checked
        assert rule["description"].endswith("."), key
        assert ("x-use" in rule) == (rule.get("x-platform-owned") is True) == ("x-restart" not in rule), key
        default = rule.get("default")
        assert default is None or found.arguments[key].broken_rule(default) == "", key


@pytest.mark.parametrize("name", sorted(engine_schemas()))
def test_a_shipped_schema_is_sorted_and_has_no_name_twice(name: str) -> None:
    schema = engine_schemas()[name]
    keys = list(schema["properties"])  # type: ignore[arg-type]  # a mapping
    aliases = [alias for rule in schema["properties"].values() for alias in rule.get("x-aliases", [])]  # type: ignore[union-attr, call-overload]

    assert keys == sorted(keys)
    assert len({*keys, *aliases}) == len(keys) + len(aliases)


@pytest.mark.parametrize("name", [LLAMA_SCHEMA, VLLM_SCHEMA])
@pytest.mark.parametrize("owned", ["host", "port", "api_key", "model"])
def test_the_platforms_own_arguments_are_marked(name: str, owned: str) -> None:
    assert table(name).arguments[owned].owned


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 70000)
    | st.floats(-5, 200)
    | st.sampled_from(["auto", "all", "on", "f16", "mean", "x", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(sorted(engine_schemas())), st.data(), values)
def test_our_checker_agrees_with_json_schema(name: str, data: st.DataObject, value: Json) -> None:
    """Where they may differ: a whole float is an integer to JSON Schema, and `1.0` written for a whole number is refused here."""
    schema = engine_schemas()[name]
    key = data.draw(st.sampled_from(sorted(schema["properties"])))  # type: ignore[type-var, arg-type]  # a mapping
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    theirs = Draft202012Validator(schema["properties"][key]).is_valid(value)  # type: ignore[index, call-overload]
    ours = table(name).arguments[key].broken_rule(value) == ""

    assert ours == theirs or "[" in json.dumps(value)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {}},
        {"additionalProperties": False},
        {"additionalProperties": False, "properties": {"a": {"type": "date"}}},
        {"additionalProperties": False, "properties": {"a": {}}},
        {"additionalProperties": False, "properties": {"a": 1}},
    ],
)
def test_a_schema_that_is_not_of_the_dialect_is_refused(schema: dict[str, Json]) -> None:
    with pytest.raises(ValueError, match=r"closed|property a"):
        table_of(schema)


def test_the_example_names_a_schema_that_is_shipped() -> None:
    text = (Path(__file__).parent.parent / "examples" / "repo" / "engines" / "llama.cpp.yaml").read_text()

    assert any(f"argsSchema: {name}\n" in text for name in engine_schemas())
