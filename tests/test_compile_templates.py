"""A template word is an expression over known variables, and nothing that can loop, call or grow."""

import subprocess
import sys
import time

import pytest

from reconciler.compile.templates import LONGEST_SOURCE, LONGEST_WORD, Variables, render
from reconciler.errors import CompileError

KNOWN: Variables = {"host": "{host}", "ports": {"http": "{port}"}, "model": {"path": "/m/a.gguf"}, "shutdown": {"graceSeconds": 330}}


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("--host", "--host"),
        ("{{ host }}", "{host}"),
        ("{{host}}:{{ ports.http }}", "{host}:{port}"),
        ("--model={{ model.path }}", "--model=/m/a.gguf"),
        ("{{ shutdown.graceSeconds - 30 }}", "300"),
        ("{{ (shutdown.graceSeconds / 2) | int }}s", "165s"),
        ("{{ 1 if shutdown.graceSeconds > 300 else 2 }}", "1"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ("{host}", "{host}"),
    ],
)
def test_a_word_is_filled_in(source: str, word: str) -> None:
    assert render(source, KNOWN) == word


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ nothing }}", "'nothing' is not defined"),
        ("{{ model.nothing }}", "'model.nothing' is not defined"),
        ("{{ model.path.x }}", "'model.path.x' is not defined"),
        ("{{ model }}", "'model' is a group"),
        ("{{ nothing + 1 }}", "'nothing' is undefined"),
        ("{{ host", "unexpected"),
        ("{{ host | attr('x') }}", "is not allowed"),
        ("{{ range(9) }}", "call is not allowed"),
        ("{{ host.__class__ }}", "not defined"),
        ("{{ host.__class__ ~ 1 }}", "is unsafe"),
        ("{{ host.upper() }}", "call is not allowed"),
        ("{{ ''['__class__'] }}", "getitem is not allowed"),
        ("{{ 'a' * 1000000000 }}", "works on numbers only"),
        ("{{ '%1000000000d' % 1 }}", "works on numbers only"),
        ("{{ 9 ** 9 ** 9 }}", "pow is not allowed"),
        ("{% for i in [1] %}x{% endfor %}", "for is not allowed"),
        ("{% set x = 1 %}", "assign is not allowed"),
        ("{% include '/etc/passwd' %}", "include is not allowed"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ host - 1 }}", "unsupported operand"),
        ("{{ [1, 2] }}", "list is not allowed"),
        ("{{ " + "1 + " * LONGEST_SOURCE + "1 }}", "characters; at most"),
    ],
)
def test_what_is_no_plain_expression_is_refused(source: str, why: str) -> None:
    start = time.process_time()
    with pytest.raises(CompileError) as raised:
        render(source, KNOWN)

    assert (raised.value.problem.code, why in raised.value.problem.what) == ("E20", True), raised.value.problem.what
    assert time.process_time() - start < 1


def test_a_word_cannot_grow_without_bound() -> None:
    with pytest.raises(CompileError, match="becomes"):
        render("{{ host }}", {"host": "x" * (LONGEST_WORD + 1)})


def test_a_value_is_not_rendered_again() -> None:
    """An endpoint's names and paths are data: only the engine's own words are templates."""
    assert render("{{ model.path }}", {"model": {"path": "{{ host }}"}}) == "{{ host }}"


def test_plain_words_load_no_template_engine() -> None:
    """Most commands have nothing else, and `validate` is to start fast."""
    program = (
        "import sys; from reconciler.compile.templates import render; render('{{ a.b }}', {'a': {'b': 1}}); print('jinja2' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
