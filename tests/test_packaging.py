"""What is shipped: pins, the lock file, the wheel, the front door."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line)


def pins() -> list[str]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    every = [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
    return [line for line in every if not line.startswith("reconciler[")]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.split("[")[0]).lower()


@pytest.mark.parametrize("pin", pins())
def test_every_pin_is_in_the_lock_file(pin: str) -> None:
    name, _, version = pin.partition("==")

    assert {normal(name): version}.items() <= {normal(key): value for key, value in LOCKED.items()}.items()


def test_the_lock_file_holds_names_and_versions_only() -> None:
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]

    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._]+", line)] == []


def test_the_readme_names_only_commands_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {word for page in pages for word in re.findall(r"^\s*(?:\$ )?make ([a-z]+)", page.read_text(), re.MULTILINE)}

    assert named <= targets


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what is committed or about to be: building in place would leave files behind."""
    copy = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard", "pyproject.toml", "README.md", "reconciler", "schemas", "templates"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    archive = subprocess.run(["tar", "-c", "--null", "-T", "-"], cwd=ROOT, input=listed.stdout, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=copy, input=archive.stdout, check=True)
    out = tmp_path_factory.mktemp("wheel")
    options = ["-q", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "-w", str(out), str(copy)], check=True)
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_schemas_and_templates(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    folders = (ROOT / "schemas", ROOT / "templates")
    here = {f"reconciler/_data/{path.relative_to(ROOT)}" for folder in folders for path in folder.rglob("*") if path.is_file()}

    assert here <= packed
    assert here


@pytest.mark.slow
def test_the_wheel_runs_on_its_own(wheel: Path, tmp_path: Path) -> None:
    """Installed into a folder of its own, from another working directory, it validates the example repo."""
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True)

    program = "import sys, reconciler.cli.main as m; print(m.__file__, flush=True); sys.exit(m.main())"
    words = ["validate", str(ROOT / "examples" / "repo")]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *words],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert str(site) in done.stdout
