"""Docs fail when they lie: commands parse, links lead somewhere, files that are named exist."""

import re
import shlex
from pathlib import Path

import pytest

from reconciler.cli.main import parser
from reconciler.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(reconciler [^`\n]+)`")
PLACEHOLDER = re.compile(r"[<>|…]|\.\.\.|\[")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
NAMED = re.compile(r"\bdocs/[\w./-]+\.md\b")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands(text: str) -> list[str]:
    """`reconciler ...` as it stands in blocks; what has a placeholder in it is no command."""
    lines = [line.strip().removeprefix("$ ") for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("reconciler ") and not PLACEHOLDER.search(line)]


def mentions(text: str) -> list[str]:
    """`reconciler ...` in running text: a command, or only the name of a verb."""
    return [line for line in INLINE.findall(text) if not PLACEHOLDER.search(line)]


def refusal(line: str, *more: str) -> str:
    """Why the command line refuses these words; "" when it takes them."""
    try:
        parser().parse_args([*shlex.split(line, comments=True)[1:], *more])
    except UsageError as error:
        return f"{line}: {error}"
    except SystemExit:  # --help and --version print and end
        pass
    return ""


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_docs_are_commands(page: Path) -> None:
    text = page.read_text()
    refused = [refusal(line) for line in commands(text)]
    refused += [refusal(line) and refusal(line, "--help") for line in mentions(text)]

    assert [why for why in refused if why] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_pages_that_the_code_names_exist() -> None:
    named = {name for path in (ROOT / "reconciler").rglob("*.py") for name in NAMED.findall(path.read_text())}

    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_reason_that_the_cases_of_kubernetes_know_has_its_cure() -> None:
    cases = [ROOT / "tests" / "test_kube_health.py", *(ROOT / "tests" / "kubernetes").glob("test_*.py")]
    reasons = {reason for case in cases for reason in re.findall(r'Health\.[A-Z_]+, "([A-Za-z]+)"', case.read_text())}
    page = (ROOT / "docs" / "kubernetes.md").read_text()

    assert len(reasons) > 15
    assert {reason for reason in reasons if f"`{reason}`" not in page} == set()
