"""Whatever is written, reading it never raises; places are right; the order of files does not matter; both ways of parsing agree."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.repo.documents import read_file
from reconciler.repo.memory import MemorySource
from reconciler.repo.read import assemble, read_repo
from reconciler.repo.scalars import resolve
from reconciler.repo.source import Revision
from reconciler.repo.yaml_reader import parse, parse_carefully

pytestmark = pytest.mark.slow  # thousands of made-up files

HEAD = "apiVersion: reconciler.dev/v1alpha1\n"
FRAGMENTS = st.sampled_from(
    [
        *(
            "apiVersion: reconciler.dev/v1alpha1\n",
            "kind: Endpoint\n",
            "kind: Cluster\n",
            "metadata: {name: chat}\n",
            "metadata:\n  name: a\n",
            "spec:\n",
        ),
        *(
            "  cluster: lab\n",
            "  replicas: 2\n",
            "  paused: yes\n",
            "  env:\n  - {name: A}\n",
            "---\n",
            "...\n",
            "%YAML 1.2\n",
            "# x\n",
            "\t",
            "- ",
            "{",
            "}",
        ),
        *(
            "[",
            "]",
            "&a ",
            "*a ",
            "<<: ",
            "? ",
            "! ",
            "!!str ",
            '"',
            "'",
            "|\n",
            ">\n",
            ": ",
            ", ",
            "\n",
            "  ",
            "\0",
            "\ufeff",
            "\x85",
            "\u2028",
            "é",
            "~",
            "1e9",
        ),
    ]
)
TEXTS = st.lists(FRAGMENTS | st.text(max_size=5), max_size=30).map("".join)
SCALARS = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4), max_leaves=20
)


def read(text: bytes) -> None:
    source = MemorySource()
    source.commit({"a.yaml": text})
    snapshot = read_repo(source, {"a.yaml": ("Endpoint/default/chat",)})
    assert all(problem.what and problem.code and problem.where for problem in snapshot.problems)
    assert all(problem.text().replace("\n", "").isprintable() for problem in snapshot.problems)
    assert not set(snapshot.blocked) & set(snapshot.declarations)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_text_never_raises(text: str) -> None:
    read(text.encode(errors="replace"))


@settings(max_examples=200, deadline=None)
@given(st.binary())
def test_bytes_never_raise(data: bytes) -> None:
    read(data)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_any_value_below_spec_never_raises(value: object) -> None:
    document = {"apiVersion": "reconciler.dev/v1alpha1", "kind": "Endpoint", "metadata": {"name": "chat"}, "spec": value}
    read(yaml.safe_dump(document, allow_unicode=True).encode(errors="replace"))


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_both_ways_of_parsing_agree(text: str) -> None:
    data = text.encode(errors="replace")
    fast, careful = parse(data), parse_carefully(data)
    assert [(item.line, item.value, item.broken) for item in fast] == [(item.line, item.value, item.broken) for item in careful]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=50).filter(lambda key: "\0" not in key), VALUES, max_size=5))
def test_json_is_read_as_json(value: dict[str, object]) -> None:
    text = json.dumps(value)
    documents = parse(text.encode())
    if "\\u0000" in text or "\\ud" in text or "<<" in text:
        return
    assert [item.value for item in documents] == [value]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True), st.integers(0, 3), st.booleans())
def test_every_key_is_where_its_place_says(keys: list[str], blanks: int, marker: bool) -> None:
    lines = ["# comment"] * blanks + (["---"] if marker else []) + [line for key in keys for line in (f"{key}:", f"  - x{key}: 1")]
    marks = parse_carefully("\n".join(lines).encode())[0].marks
    for key in keys:
        assert lines[marks[f"/{key}"].line - 1].startswith(f"{key}:")
        inner = marks[f"/{key}/0/x{key}"]
        assert lines[inner.line - 1][inner.column - 1 :] == f"x{key}: 1"


DOCUMENTS = st.lists(
    st.sampled_from(
        [
            f"{HEAD}kind: Workspace\nmetadata: {{name: team-a}}\n",
            f"{HEAD}kind: Workspace\nmetadata: {{name: team-b}}\n",
            f"{HEAD}kind: Workspace\nmetadata: {{name: Bad}}\n",
            f"{HEAD}kind: Catalog\nmetadata: {{name: c}}\n",
            "}{ team-c",
            "x: 1\n",
        ]
    ),
    max_size=3,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["a.yaml", "b.yaml", "c/d.yml"]), DOCUMENTS), st.randoms(), st.booleans())
def test_the_order_of_files_does_not_matter(files: dict[str, list[str]], random: object, known: bool) -> None:
    results = [read_file(path, "---\n".join(documents).encode()) for path, documents in files.items()]
    before = {"a.yaml": ("Workspace/team-c",), "old.yaml": ("Workspace/team-d",)} if known else {}
    revision = Revision("r", "", "r")
    first = assemble(revision, results, before)
    random.shuffle(results)  # type: ignore[attr-defined]

    second = assemble(revision, results, before)
    assert (first.declarations, first.problems, first.declared) == (second.declarations, second.problems, second.declared)
    assert {key: set(value) for key, value in first.blocked.items()} == {key: set(value) for key, value in second.blocked.items()}
    assert set(first.unknown) == set(second.unknown)


@settings(deadline=None)
@given(st.text(max_size=12))
def test_only_true_and_false_are_booleans(text: str) -> None:
    value = resolve(text)
    assert isinstance(value, bool) == (text.lower() in ("true", "false") and text in ("true", "True", "TRUE", "false", "False", "FALSE"))
