"""What a template can say, how an engine's file is laid over the default, and what is refused."""

import re
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import CompileError
from reconciler.targets.kubernetes.manifests.expressions import PLAIN
from reconciler.targets.kubernetes.manifests.overlays import has_overlay, laid_over, parsed
from reconciler.targets.kubernetes.manifests.templating import filled, template
from reconciler.targets.kubernetes.render import _Endpoint  # the variables that there are
from tests.kube_workloads import BIG, EQUIPPED, SCALED

pytestmark = pytest.mark.slow  # hundreds of cases: `make test` has them

TEMPLATES = Path(__file__).parents[1] / "templates"
VALUES: dict[str, Any] = {
    "name": "chat",
    "a": {"b": {"c": 3}, "text": "x", "list": ["p", "q"], "number": 7, "zero": 0, "no": False, "nothing": None, "map": {"k": "v"}},
    "empty": {"text": "", "list": [], "map": {}},
}


def made(text: str) -> Any:
    return filled(parsed(text, "x/t.yaml"))(VALUES)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('k: "{{ name }}"', {"k": "chat"}),
        ('k: "{{a.number}}"', {"k": 7}),
        ('k: "{{ a.b.c }}"', {"k": 3}),
        ('k: "{{ a.list }}"', {"k": ["p", "q"]}),
        ('k: "{{ a.map }}"', {"k": {"k": "v"}}),
        ('k: "{{ a.number }} of {{ name }}"', {"k": "7 of chat"}),
        ('k: f{x="{{ name }}"}', {"k": 'f{x="chat"}'}),
        ('"{{ name }}": 1', {"chat": 1}),
        ("k: {a: 1, b: true, c: 1.5, d: text}", {"k": {"a": 1, "b": True, "c": 1.5, "d": "text"}}),
        ("k: 2026-08-01x", {"k": "2026-08-01x"}),
    ],
)
def test_a_value_keeps_its_type_and_its_place(text: str, result: dict[str, Any]) -> None:
    assert made(text) == result
    assert str(made(text)) == str(result)  # True is no 1


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("k: \"{{ empty.text or '8Gi' }}\"", {"k": "8Gi"}),
        ("k: \"{{ a.text or '8Gi' }}\"", {"k": "x"}),
        ('k: "{{ a.zero or 5 }}"', {"k": 5}),
        ('k: "{{ a.number + 15 }}"', {"k": 22}),
        ('k: "{{ a.number * 2 - 1 }}"', {"k": 13}),
        ("k: \"{{ 'y' if a.number > 5 else 'n' }}\"", {"k": "y"}),
        ('k: "{{ not a.no }}"', {"k": True}),
        ('k: "{{ a.text | upper }}"', {"k": "X"}),
        ('k: "{{ none }}"', {}),
        ('k: "{{ true }}"', {"k": True}),
    ],
)
def test_an_expression_may_compute(text: str, result: dict[str, Any]) -> None:
    assert made(text) == result
    assert str(made(text)) == str(result)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('{k: "{{ a.nothing }}", l: 1}', {"l": 1}),
        ('{k: "{{ empty.text }}", l: "{{ empty.list }}", m: "{{ empty.map }}"}', {}),
        ('k: {l: {m: "{{ a.nothing }}"}}', {}),
        ('k: [{l: "{{ a.nothing }}"}]', {}),
        ('k: [1, "{{ a.nothing }}", 2]', {"k": [1, 2]}),
        ('{k: "{{ a.zero }}", l: "{{ a.no }}", m: ["{{ a.zero }}"]}', {"k": 0, "l": False, "m": [0]}),
        ("k: {}", {"k": {}}),
        ('{k: {l: {}}, m: "{{ name }}"}', {"k": {"l": {}}, "m": "chat"}),
        ("k: null", {}),
        ('"{{ a.nothing }}": "{{ a.nothing }}"', {}),
    ],
)
def test_what_gives_nothing_is_left_out_and_what_is_written_stays(text: str, result: dict[str, Any]) -> None:
    assert made(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('k: ["{{ a.list }}", r]', {"k": ["p", "q", "r"]}),
        ('k: ["{{ empty.list }}", r]', {"k": ["r"]}),
        ('k: [{$if: "{{ name }}", l: 1}]', {"k": [{"l": 1}]}),
        ('k: [{$if: "{{ name }}", l: "{{ name }}"}]', {"k": [{"l": "chat"}]}),
        ('k: [{$if: "{{ a.no }}", l: "{{ not.there }}"}]', {}),
        ('{k: {$if: "{{ a.zero }}", l: 1}, m: 2}', {"m": 2}),
        ("k: [{$if: false, l: 1}, {$if: true, l: 2}]", {"k": [{"l": 2}]}),
    ],
)
def test_items_may_be_many_or_none(text: str, result: dict[str, Any]) -> None:
    assert made(text) == result


def test_no_value_breaks_out_of_its_place() -> None:
    """A repo is untrusted: whatever it says is text where it stands."""
    nasty = "x\nkind: Secret\n- {{ a.text }} \"'}], &a *a !!python/object:os.system"

    assert filled(parsed('{k: "{{ nasty }}", l: "in {{ nasty }} text"}', "t"))({"nasty": nasty}) == {"k": nasty, "l": f"in {nasty} text"}


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        ("{a: 1, b: 2}", "{b: 3, c: 4}", {"a": 1, "b": 3, "c": 4}),
        ("{a: {b: 1, c: 2}}", "{a: {c: null}}", {"a": {"b": 1}}),
        ("{a: [1, 2]}", "{a: [3]}", {"a": [3]}),
        (
            "{a: [{name: x, v: 1}, {name: y}]}",
            "{a: [{name: x, v: 2}, {name: z}]}",
            {"a": [{"name": "x", "v": 2}, {"name": "y"}, {"name": "z"}]},
        ),
        ('{a: ["{{ a.list }}"]}', "{a: [{name: z}]}", {"a": ["p", "q", {"name": "z"}]}),
        ("{a: [{name: x}]}", "{a: [{v: 1}]}", {"a": [{"v": 1}]}),
        ("{a: [{name: x}]}", "{a: []}", {"a": []}),
        ("{a: 1}", "{a: {b: 1}}", {"a": {"b": 1}}),
        ("{a: [{name: x, $if: false, v: 1}]}", "{a: [{name: x, $if: true}]}", {"a": [{"name": "x", "v": 1}]}),
    ],
)
def test_how_a_file_is_laid_over_another(base: str, over: str, result: dict[str, Any]) -> None:
    assert filled(laid_over(parsed(base, "base.yaml"), parsed(over, "over.yaml")))(VALUES) == result


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ('a: 1\nk: "{{ nam }}"', "x/t.yaml:2", "variable 'nam' is not defined; there are a.b"),
        ('k: "{{ a.c }}"', "x/t.yaml:1", "variable 'a.c' is not defined"),
        ('k: "{{ name.upper }}"', "x/t.yaml:1", "is not defined"),
        ('k: "{{ a.b.c.d }}"', "x/t.yaml:1", "is not defined"),
        ('k: "{{ a.nothing + 1 }}"', "x/t.yaml:1", "unsupported operand"),
        ('k: "{{ nam + 1 }}"', "x/t.yaml:1", "'nam' is undefined"),
        ('k: "{{ (nam) }}"', "x/t.yaml:1", "is not defined"),
        ('k: "{{ a.number / 0 }}"', "x/t.yaml:1", "division by zero"),
        ('k: "in {{ a.list }} text"', "x/t.yaml:1", "only texts and numbers"),
        ('k: "in {{ a.nothing }} text"', "x/t.yaml:1", "only texts and numbers"),
        ('"{{ a.number }}": 1', "x/t.yaml:1", "a key must be text"),
        ("- 1", "x/t.yaml:1", "is no mapping"),
    ],
)
def test_a_mistake_says_where_it_is_when_it_is_filled_in(text: str, where: str, what: str) -> None:
    with pytest.raises(CompileError) as caught:
        made(text)

    assert caught.value.problem.code == "E20"
    assert caught.value.problem.what.startswith(f"template {where}: ")
    assert what in caught.value.problem.what


@pytest.mark.parametrize(
    "expression",
    [
        "range(3)",
        "name.__class__",
        "''.__class__.__mro__",
        "a['b']",
        "[1, 2]",
        "{'a': 1}",
        "2 ** 99",
        "'a' * 1000000000",
        "'%s' % name",
        "name | map",
        "name | replace('a', 'b')",
        "self",
        "cycler('a')",
        "name is string",
        "(name.upper)",
        "a.map.items if a.number else 1",
        "1 +",
        "",
        "x" * 2000,
        "a }} {{ b",
    ],
)
def test_an_expression_can_neither_call_nor_grow(expression: str) -> None:
    with pytest.raises(CompileError) as caught:
        made(f'k: "{{{{ {expression} }}}}"')

    assert caught.value.problem.code == "E20"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"),
        ("a: [", "template x/t.yaml"),
        ("a: 1\na: 2", "key 'a' twice"),
        ("a: &x 1\nb: *x", "an alias"),
        ("1: a", "a key that is no text"),
        ("a: 2026-08-01", "a value of type timestamp"),
        ("a: !!binary aGk=", "a value of type binary"),
        ("a: !x 1", "a value of type"),
        ('a: "{{ b"', "does not end"),
        ('a: "b }} {{ c"', "does not end"),
        ("[" * 60 + "]" * 60, "nested more than"),
        ("a: " + "x" * 70_000, "characters; at most"),
    ],
)
def test_a_file_that_is_no_template_is_refused(text: str, what: str) -> None:
    with pytest.raises(CompileError) as caught:
        filled(parsed(text, "x/t.yaml"))(VALUES)

    assert caught.value.problem.code == "E20"
    assert what in caught.value.problem.what


def test_only_engines_have_files_of_their_own() -> None:
    assert has_overlay("pod", "vllm")
    assert not has_overlay("deployment", "vllm")
    assert not any(has_overlay("pod", engine) for engine in ("", "kubernetes", "envoy", "..", ".", "vllm/../vllm", "/vllm"))


def test_a_template_is_read_once() -> None:
    assert template("deployment", "vllm") is template("deployment", "vllm")


@pytest.mark.parametrize("path", sorted(path for path in TEMPLATES.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_file_is_used(path: Path) -> None:
    """As a kind of its own, as a part of another, or laid over one of these."""
    names = {found.stem for found in (TEMPLATES / "kubernetes").glob("*.yaml")}

    assert path.stem in names


def test_the_readme_names_every_variable() -> None:
    """And no other."""
    text = (TEMPLATES / "kubernetes" / "README.md").read_text()
    named = {word for line in text.splitlines() if line.startswith("|") for word in re.findall(r"`([a-zA-Z.*]+)`", line.split("|")[1])}
    there = {name for workload in (BIG, SCALED) for name in paths_of(variables_of(workload))}

    assert {name for name in named if not name.endswith("*")} == {name for name in there if not name.startswith(("scaling.", "cache."))}


def variables_of(workload: Any) -> dict[str, Any]:
    return _Endpoint(workload, workload.container, EQUIPPED).values


def paths_of(values: dict[str, Any]) -> set[str]:
    """`probes.startup` is one: what is in it is told in words."""
    groups = {"endpoint", "workload", "engine", "ports", "probes", "accelerator", "stop", "metrics", "rollout", "scaling"}
    return {f"{name}.{inner}" if name in groups else name for name in values for inner in (values[name] if name in groups else [""])}


def test_stock_templates_need_no_template_engine() -> None:
    """Plain variables are looked up; loading Jinja would cost each start of the command line 50 ms."""
    expressions = [
        found
        for path in TEMPLATES.glob("*/*.yaml")
        for found in re.findall(r"\{\{\s*(.*?)\s*\}\}", re.sub(r"#.*", "", path.read_text()))
        if not PLAIN.fullmatch(found)
    ]

    assert expressions == []
