"""Every code that reading and compiling can give is explained to people."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RAISED = sorted(
    {
        code
        for folder in ("schema", "repo", "compile")
        for path in (ROOT / "reconciler" / folder).rglob("*.py")
        for code in re.findall(r'"([EW]\d+)"', path.read_text())
    }
)


@pytest.mark.parametrize("code", RAISED)
def test_a_code_is_explained(code: str) -> None:
    assert re.search(rf"^\| [^|]*\b{code}\b[^|]*\|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
