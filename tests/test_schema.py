"""The models: closed, frozen, described; their JSON Schemas stand in `schemas/`; a field that we know is honoured or refused by name."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from reconciler.schema.base import Declared
from reconciler.schema.endpoint import Endpoint, EndpointSpec
from reconciler.schema.explain import nearest, owner_of, pointer_of
from reconciler.schema.kinds import KINDS, LATER_KINDS, SCOPES, declaration_id
from reconciler.schema.metadata import MAX_ENDPOINT_NAME, NAME, suggest_name
from reconciler.schema.quantity import parse_bytes, parse_cores, parse_share
from reconciler.schema.secrets import PATTERNS, may_hold_secrets, secret_in
from tools.make_schemas import FOLDER, _models, file_name, schema_of, text_of

EXAMPLES = Path(__file__).parent.parent / "examples" / "repo"


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_files_equal_the_models(kind: str) -> None:
    assert (FOLDER / file_name(kind)).read_text(encoding="utf-8") == text_of(kind), "run: python tools/make_schemas.py"


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_described_and_every_mapping_is_closed(kind: str) -> None:
    schema = schema_of(kind)
    for name, part in {kind: schema, **schema.get("$defs", {})}.items():
        if "properties" in part:
            assert part["additionalProperties"] is False, name
            assert not [field for field, about in part["properties"].items() if not about.get("description")], name


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda file: file.name)
def test_the_examples_fit_the_schema_files(file: Path) -> None:
    for document in yaml.safe_load_all(file.read_text()):
        if document is not None:
            jsonschema.validate(document, json.loads((FOLDER / file_name(document["kind"])).read_text()))


@pytest.mark.parametrize("model", sorted(_models().values(), key=lambda model: model.__name__), ids=lambda model: model.__name__)
def test_what_is_refused_as_later_is_no_field_and_no_allowed_value(model: type[Declared]) -> None:
    aliases = {info.alias or name for name, info in model.model_fields.items()}
    for word in model.LATER:
        field, is_value, value = word.partition("=")
        assert (field in aliases) == bool(is_value) or field in ("workspace",), word
        if is_value:
            assert value not in str(model.model_fields[field if field in model.model_fields else f"{field}_"].annotation), word


def test_kinds_are_honoured_or_refused_never_both() -> None:
    assert set(KINDS) | set(LATER_KINDS) == set(SCOPES)
    assert not set(KINDS) & set(LATER_KINDS)


def endpoint(**spec: Any) -> Endpoint:
    base = {"cluster": "lab", "model": {"registry": "local", "name": "m"}, "engine": {"name": "e"}}
    return Endpoint.model_validate(
        {"apiVersion": "reconciler.dev/v1alpha1", "kind": "Endpoint", "metadata": {"name": "chat"}, "spec": {**base, **spec}}
    )


def test_the_defaults_are_those_of_the_documentation() -> None:
    spec = endpoint().spec
    assert isinstance(spec, EndpointSpec)
    assert (spec.replicas, spec.resources.cpu, spec.resources.memory, spec.resources.accelerator) == (1, 0.5, 1024**3, None)
    assert (spec.routing.timeout_seconds, spec.rollout.timeout_seconds, spec.rollout.max_surge, spec.rollout.max_unavailable) == (
        300,
        1200,
        1,
        0,
    )
    assert (spec.parallelism.tensor, spec.parallelism.pipeline, spec.parallelism.data, spec.placement.spread) == ("auto", 1, 1, "Preferred")
    assert (spec.paused, spec.protect, spec.gateway, spec.model.version, spec.engine.version) == (False, False, "", "", "")
    assert endpoint().workspace == "default"


def test_a_declaration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        endpoint().spec.replicas = 2


def test_fields_are_camel_case_outside_and_snake_case_inside() -> None:
    assert endpoint(restartedAt="now").spec.restarted_at == "now"
    with pytest.raises(ValidationError):
        endpoint(restarted_at="now")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1Gi", 1024**3),
        ("512Mi", 512 * 1024**2),
        ("1G", 10**9),
        ("1.5Gi", 3 * 1024**3 // 2),
        ("64Ki", 65536),
        (1000, 1000),
        ("2Ti", 2 * 1024**4),
        ("1k", 1000),
    ],
)
def test_memory_is_read_as_kubernetes_reads_it(text: object, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["1GB", "1gi", "Gi", "-1Gi", "1 Gi", "", "0", "1e3", True, None, [], "1Gi\n", float("inf"), float("nan"), "٣Gi"]
)
def test_what_is_no_memory_is_refused(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_bytes(text)


@pytest.mark.parametrize(("text", "cores"), [("0.5", 0.5), ("500m", 0.5), (2, 2.0), ("2", 2.0), (0.25, 0.25), ("1500m", 1.5)])
def test_cpu_is_a_text_or_a_number(text: object, cores: float) -> None:
    assert parse_cores(text) == cores


@pytest.mark.parametrize("text", ["1k", "half", 0, "0m", -1, True, None])
def test_what_is_no_cpu_is_refused(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_cores(text)


def test_shares() -> None:
    assert [parse_share(text) for text in ("20%", "0%", "100%", "12.5%")] == [0.2, 0.0, 1.0, 0.125]
    for wrong in ("101%", "20", 20, 0.2, "-1%", "%"):
        with pytest.raises(PydanticCustomError):
            parse_share(wrong)


@settings(deadline=None)
@given(st.text())
def test_a_suggested_name_is_a_valid_name(name: str) -> None:
    suggestion = suggest_name(name, MAX_ENDPOINT_NAME)
    assert NAME.fullmatch(suggestion)
    assert len(suggestion) <= MAX_ENDPOINT_NAME


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.floats() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_quantities_refuse_and_never_fail(value: object) -> None:
    for parse in (parse_bytes, parse_cores, parse_share):
        with suppress(PydanticCustomError):
            assert parse(value) >= 0


def test_secrets_are_known_by_their_look() -> None:
    samples = [
        "-----BEGIN RSA PRIVATE KEY-----",
        "AGE-SECRET-KEY-1" + "Q" * 30,
        "hf_" + "a" * 34,
        "rcl_abcdefghij_" + "A" * 49,
        "sk-" + "a" * 24,
        "nvapi-" + "b" * 30,
        "ghp_" + "c" * 36,
        "glpat-" + "d" * 20,
        "AKIA" + "A" * 16,
        "xoxb-" + "1" * 12,
    ]
    assert [secret_in(sample) for sample in samples] == [name for name, _, _ in PATTERNS]
    assert [sample for sample in samples if not may_hold_secrets(f"a: {sample}".encode())] == []
    assert all(may_hold_secrets(f"gh{letter}_{'c' * 36}".encode()) and secret_in(f"gh{letter}_{'c' * 36}") for letter in "pousr")
    assert not secret_in("sha256:" + "a" * 64)
    assert not secret_in("hf_hub_cache and sk-learn and the task-oriented disk-based model")


def test_the_owner_of_a_field_is_found_through_lists_and_options() -> None:
    owner = owner_of(Endpoint, ("spec", "env", 3, "secretRef"))
    assert owner is not None
    assert owner.__name__ == "SecretRef"
    assert owner_of(Endpoint, ("spec", "engine", "args")) is None
    assert pointer_of(("a/b", 1, "c~d")) == "/a~1b/1/c~0d"


def test_the_nearest_word_ignores_case_and_separators() -> None:
    assert nearest("served_name", ["servedName", "task"]) == "servedName"
    assert nearest("zzz", ["servedName", "task"]) == ""


def test_identities() -> None:
    assert declaration_id("Endpoint", "team-a", "chat") == "Endpoint/team-a/chat"
    assert declaration_id("Cluster", "", "lab") == "Cluster/lab"
