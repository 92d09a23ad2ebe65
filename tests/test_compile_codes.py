"""Every code that a message can carry is explained to people, and no other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "errors.md"
RAISED = sorted(
    {code for path in (ROOT / "reconciler").rglob("*.py") for code in re.findall(r'"((?:[CDEGKLRSTUWX]|RAY|KUBE)\d+)"', path.read_text())}
)


@pytest.mark.parametrize("code", RAISED)
def test_a_code_is_explained(code: str) -> None:
    assert re.search(rf"^\| [^|]*\b{code}\b[^|]*\|", PAGE.read_text(), re.MULTILINE)


def test_no_code_is_explained_that_nothing_raises() -> None:
    explained = {
        code for row in re.findall(r"^\| ([A-Z][^|]*)\|", PAGE.read_text(), re.MULTILINE) for code in re.findall(r"[A-Z]+\d+", row)
    }

    assert explained == set(RAISED)
