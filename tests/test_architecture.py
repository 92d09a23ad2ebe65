"""The shape of the tree: layers, sizes, names, and what may not stand in it."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "reconciler"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_MODULE = 400
LONGEST_PASS = 80
CATCH_ALLS = re.compile(r"util|helper|common|manager|misc", re.IGNORECASE)


def tracked() -> list[Path]:
    """Files of the checkout that are or will be committed."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_imports_keep_the_layers(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)

    code = lint_imports(cache_dir=str(tmp_path))

    assert code == 0, capsys.readouterr().out


def test_the_pass_fits_on_one_screen() -> None:
    lines = (PACKAGE / "reconcile.py").read_text().splitlines()

    assert len(lines) <= LONGEST_PASS


def test_no_module_is_longer_than_one_can_hold_in_mind() -> None:
    too_long = {name_of(path): lines for path in MODULES if (lines := len(path.read_text().splitlines())) > LONGEST_MODULE}

    assert too_long == {}


def test_modules_and_classes_are_named_after_things() -> None:
    named = {name_of(path) for path in MODULES if CATCH_ALLS.search(path.stem)}
    for path in MODULES:
        classes = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef))
        named |= {f"{name_of(path)}: {node.name}" for node in classes if CATCH_ALLS.search(node.name)}

    assert named == set()


def test_every_module_says_what_it_decides() -> None:
    silent = {name_of(path) for path in MODULES if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))}

    assert silent == set()


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    """So that `validate` starts fast. `nodes` runs on Ray, which has all of them loaded anyway."""
    heavy = {"git", "ray", "jinja2", "deepdiff", "structlog", "aiohttp", "jsonschema", "xllamacpp", "openai", "requests"}
    early = set()
    for path in MODULES:
        if PACKAGE / "nodes" in path.parents:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                early |= {f"{name_of(path)}: {alias.name}" for alias in node.names if alias.name.split(".")[0] in heavy}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in heavy:
                early.add(f"{name_of(path)}: {node.module}")

    assert early == set()


def test_nothing_names_the_machine_that_it_was_written_on() -> None:
    places = [str(ROOT).encode(), str(Path.home()).encode() + b"/"]
    found = {name_of(path) for path in tracked() if any(place in path.read_bytes() for place in places)}

    assert found == set()
