"""The command line as a person meets it, on real Git repositories; nothing is started or written to a target by these verbs.

What depends on being a process of its own (exit codes, pipes, terminals, signals) is run as one; the rest calls `main`, which is faster."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import jsonschema
import pytest

from reconciler.cli.main import main, parser
from reconciler.errors import UsageError
from tests.git_repos import commit, git, new_repo

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "repo"
SCHEMAS = ROOT / "schemas"
GOLDEN = Path(__file__).parent / "golden" / "cli"
MODELS = ("smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf", "all-minilm-l6-v2/all-MiniLM-L6-v2.F16.gguf")
COMMAND = (sys.executable, "-c", "import sys; from reconciler.cli.main import main; sys.exit(main())")


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Box:
    """A home, a state folder and a config repo of one test."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state, self.repo = folder, folder / "state", folder / "config"
        for model in MODELS:
            path = self.state / "models" / model
            path.parent.mkdir(parents=True)
            path.write_bytes(b"GGUF")

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("RECONCILER_", "XDG_", "NO_COLOR"))}
        return {**kept, "HOME": str(self.folder), "PYTHONPATH": str(ROOT), "RECONCILER_STATE": str(self.state), "COLUMNS": "100", **more}

    def run(self, *words: str, more: Mapping[str, str] | None = None) -> Done:
        """One command in this process: a tenth of a second instead of a whole one."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name in set(os.environ) - set(self.environment()):
                patch.delenv(name)
            for name, text in self.environment(**(more or {})).items():
                patch.setenv(name, text)
            patch.chdir(self.folder)
            code = main(words)
        assert "Traceback" not in out.getvalue() + err.getvalue()
        return Done(code, out.getvalue(), err.getvalue())

    def process(self, *words: str) -> Done:
        """One command as a person runs it."""
        done = subprocess.run([*COMMAND, *words], cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stdout + done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def git_repo(self) -> Path:
        new_repo(self.repo)
        shutil.copytree(EXAMPLE, self.repo, dirs_exist_ok=True)
        commit(self.repo, {}, "first")
        return self.repo


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update", default=False))


def fits(name: str, text: str) -> dict[str, object]:
    form: dict[str, object] = json.loads(text)
    jsonschema.validate(form, json.loads((SCHEMAS / name).read_text()))
    return form


@pytest.mark.parametrize(
    "verb", ["", "validate", "plan", "apply", "run", "trigger", "status", "keys create", "keys rotate", "keys revoke", "local"]
)
def test_help_is_as_documented(verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, update: bool) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([*verb.split(), "--help"])
    text = capsys.readouterr().out
    path = GOLDEN / f"help{'-' if verb else ''}{verb.replace(' ', '-')}.txt"
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    assert ended.value.code == 0
    assert text == path.read_text()


def test_a_sound_folder_is_valid(box: Box) -> None:
    done = box.process("validate", str(EXAMPLE))

    assert (done.returncode, done.stdout) == (0, "Valid at uncommitted: 2 endpoints, on 2 targets.\n")


def test_a_broken_declaration_is_shown_with_its_place_and_the_rest_goes_on(box: Box) -> None:
    repo = box.git_repo()
    chat = repo / "workspaces" / "team-a" / "endpoints" / "chat.yaml"
    chat.write_text(chat.read_text().replace("replicas: 1", "replikas: 1"))
    commit(repo, {}, "broken")

    done = box.process("validate", "--repo", str(repo))

    assert done.returncode == 1
    assert re.search(r"1 problem in 1 file; the other 1? ?endpoint goes on", done.stdout)
    assert re.search(r"endpoints/chat\.yaml:\d+: .*replikas.*\[E69\]", done.stdout)
    assert done.stderr == ""


def test_validate_as_json(box: Box) -> None:
    form = fits("validation.json", box.run("validate", str(EXAMPLE), "--json").stdout)

    assert form["declared"] == {"Endpoint": 2}


def test_nothing_started_means_that_everything_is_a_create(box: Box) -> None:
    done = box.process("plan", "--repo", str(box.git_repo()))

    assert done.returncode == 2, done.stdout + done.stderr
    assert re.match(r"Plan [0-9a-f]{12} at [0-9a-f]{7}: 4 create\. Held: 2 waiting\.\n", done.stdout)
    assert not (box.state / "record.json").exists(), "a plan remembers nothing"
    assert not (box.state / "local").exists(), "a plan starts nothing"


def test_plan_as_json_is_printed_whole_with_the_right_exit_code(box: Box) -> None:
    done = box.process("plan", "--repo", str(box.git_repo()), "--json")

    assert done.returncode == 2
    form = fits("plan.json", done.stdout)
    assert form["exitCode"] == 2
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", str(form["digest"]))


def test_an_uncommitted_folder_is_planned_as_it_lies_there(box: Box) -> None:
    done = box.run("plan", str(EXAMPLE))

    assert done.returncode == 2
    assert " at uncommitted: 4 create." in done.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), ""),
        (("nonsense",), "U1"),
        (("plan", "--nonsense"), "U1"),
        (("plan",), "U2"),
        (("validate",), "U2"),
        (("validate", "no-such-folder"), "U2"),
        (("plan", "--repo", "/no/such/repo"), "R6"),
        (("apply", "--wait", "--timeout", "soon", "--repo", "."), "K2"),
        (("trigger",), "D1"),
        (("status", "nothing"), "U6"),
        (("run", "--interval", "0", "--repo", "."), "U2"),
        (("keys", "create"), "U1"),
        (("keys", "create", "--owner", "x", "--name", "Not A Name"), "U4"),
        (("keys", "create", "--owner", "x", "--ttl", "soon"), "K2"),
        (("keys", "rotate", "ci", "--write", "nowhere.yaml"), "U5"),
        (("local",), "U1"),
    ],
)
def test_a_wrong_command_line_is_an_error_and_never_changes(box: Box, words: tuple[str, ...], code: str) -> None:
    done = box.run(*words)

    assert done.returncode == 1
    assert done.stdout == ""
    assert f"[{code}]" in done.stderr or not code


@pytest.mark.parametrize("words", [("plan", "--repo", "/no/such/repo"), ("plan", "--nonsense"), ("status", "nothing"), ("trigger",)])
def test_an_error_is_json_too_when_json_was_asked_for(box: Box, words: tuple[str, ...]) -> None:
    done = box.run(*words, "--json")

    assert done.returncode == 1
    assert fits("error.json", done.stdout)["exitCode"] == 1
    assert done.stderr.startswith("error: ")


def test_repo_branch_and_state_from_a_file_beside_the_caller(box: Box) -> None:
    repo = box.git_repo()
    git(repo, "checkout", "--quiet", "-b", "other")
    (box.folder / "reconciler.toml").write_text(f'repo = "{repo}"\nbranch = "other"\nstate = "state"\n')
    environment = {"RECONCILER_STATE": ""}

    assert box.run("plan", more=environment).returncode == 2
    assert box.run("plan", more={**environment, "RECONCILER_BRANCH": "gone"}).returncode == 1, "a variable comes before the file"
    assert box.run("plan", "--branch", "main", more={"RECONCILER_BRANCH": "gone"}).returncode == 2, "an option before both"


@pytest.mark.parametrize(("text", "said"), [('repositry = "x"', "did you mean repo?"), ("repo = 1", "not a text"), ("repo", "no TOML")])
def test_a_file_that_cannot_mean_this_is_refused(box: Box, text: str, said: str) -> None:
    (box.folder / "reconciler.toml").write_text(text)

    done = box.run("plan")

    assert done.returncode == 1
    assert said in done.stderr


def test_the_state_folder_follows_xdg(box: Box) -> None:
    done = box.run("status", more={"RECONCILER_STATE": "", "XDG_STATE_HOME": str(box.folder / "xdg")})

    assert (done.returncode, done.stdout) == (0, "No endpoints.\n")
    assert "No daemon runs on this state folder" in done.stderr
    assert not (box.folder / "xdg").exists(), "looking makes nothing"


def test_a_reader_that_goes_away_is_no_error(box: Box) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, "plan", str(EXAMPLE)], env=box.environment(), stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)

    assert (done.returncode, done.stderr) == (2, "")


def test_no_colour_in_a_pipe_and_colour_on_a_terminal(box: Box) -> None:
    import pty

    def on_terminal(**more: str) -> str:
        ours, theirs = pty.openpty()
        environment = box.environment(TERM="xterm", **more)
        subprocess.run([*COMMAND, "validate", str(EXAMPLE)], env=environment, stdout=theirs, check=True)
        os.close(theirs)
        text = os.read(ours, 10_000).decode()
        os.close(ours)
        return text

    assert "\x1b[" in on_terminal()
    assert "\x1b[" not in on_terminal(NO_COLOR="1")
    assert "\x1b[" not in box.run("validate", str(EXAMPLE)).stdout


def test_a_mistake_of_ours_is_two_lines_and_a_file(box: Box) -> None:
    code = """
import sys
import reconciler.cli.validate as verb
def broken(parsed):
    raise RuntimeError("token=abcdef")
verb.run = broken
from reconciler.cli.main import main
sys.exit(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "validate", "."], env=box.environment(), cwd=box.folder, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "internal error" in done.stderr
    (kept,) = (box.state / "crashes").iterdir()
    assert str(kept) in done.stderr
    assert "RuntimeError" in kept.read_text()
    assert "abcdef" not in kept.read_text() + done.stderr
    assert kept.stat().st_mode & 0o777 == 0o600


def test_ctrl_c_ends_it_without_a_traceback(box: Box, tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as daemon:
        name = os.path.relpath(box.state / "reconciler.sock")
        daemon.bind(name if len(name) < 100 else str(box.state / "reconciler.sock"))
        daemon.listen()
        child = subprocess.Popen([*COMMAND, "trigger"], env=box.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            line, _ = daemon.accept()
            line.recv(1000)
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=60)
        finally:
            child.kill()
            child.wait()
            line.close()

    assert (child.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_a_key_is_printed_once_and_its_declaration_is_sound(box: Box) -> None:
    repo = box.git_repo()
    path = repo / "keys" / "ci.yaml"

    done = box.process("keys", "create", "--workspace", "team-a", "--endpoints", "chat", "--owner", "ci@example.com", "--write", str(path))

    assert done.returncode == 0
    assert re.fullmatch(r"rcl_[a-z0-9]{10}_[0-9A-Za-z]{49}\n", done.stdout)
    assert done.stdout.strip() not in path.read_text() + done.stderr
    assert box.process("validate", str(repo)).stdout == "Valid at uncommitted: 2 endpoints, 1 API key, on 2 targets.\n"


def test_create_rotate_revoke(box: Box) -> None:
    repo = box.git_repo()
    path = repo / "keys.yaml"
    words = ("ci", "--workspace", "team-a", "--write", str(path))
    first = box.run("keys", "create", "--owner", "ci@example.com", "--workspace", "team-a", "--write", str(path)).stdout.strip()

    second = box.run("keys", "rotate", *words).stdout.strip()

    assert first[:15] == second[:15], "the public id stays"
    assert path.read_text().count("sha256:") == 2
    assert box.run("validate", str(repo)).returncode == 0
    assert box.run("keys", "rotate", *words).returncode == 1, "not before the first rotation is over"
    assert box.run("keys", "revoke", *words, "--hint", first[-4:]).returncode == 0
    assert path.read_text().count("sha256:") == 1
    assert box.run("keys", "revoke", *words).returncode == 0
    assert "sha256:" not in path.read_text()
    assert box.run("validate", str(repo)).returncode == 0


def test_without_a_file_the_declaration_follows_the_key(box: Box) -> None:
    done = box.run("keys", "create", "--owner", "Ci Bot <ci@example.com>", "--ttl", "90d")

    key, declaration = done.stdout.split("\n", 1)
    assert key.startswith("rcl_")
    assert declaration.startswith("apiVersion: reconciler.dev/v1alpha1\nkind: ApiKey\n")
    assert "expiresAt" in declaration


def test_a_second_key_of_one_name_is_refused_and_the_file_stays(box: Box) -> None:
    path = box.folder / "keys.yaml"
    words = ("keys", "create", "--owner", "ci@example.com", "--write", str(path))
    box.run(*words)
    before = path.read_text()

    done = box.run(*words)

    assert (done.returncode, done.stdout) == (1, "")
    assert path.read_text() == before


def test_two_keys_in_one_file_are_two_documents(box: Box) -> None:
    path = box.folder / "keys.yaml"
    for name in ("one", "two"):
        assert box.run("keys", "create", "--owner", "a", "--name", name, "--write", str(path)).returncode == 0

    assert path.read_text().count("\n---\n") == 1
    assert box.run("keys", "rotate", "one", "--write", str(path)).returncode == 0


def test_usage_errors_are_raised_not_exited() -> None:
    with pytest.raises(UsageError):
        parser().parse_args(["plan", "--nonsense"])


def test_a_box_on_which_nothing_was_started(box: Box) -> None:
    assert box.run("local", "status").stdout == "Nothing was started from this state folder.\n"
    assert json.loads(box.run("local", "status", "--json").stdout) == {"format": "reconciler.dev/local/v1", "programs": []}
    assert box.run("local", "stop").returncode == 0


def test_what_a_daemon_keeps_up_is_not_stopped_under_it(box: Box) -> None:
    from reconciler.daemon.control import LOCK
    from reconciler.state.lock import Lock

    lock = Lock.take(box.state / LOCK, "this state folder", "run")
    try:
        done = box.run("local", "stop")
    finally:
        lock.release()

    assert done.returncode == 1
    assert f"pid {os.getpid()}" in done.stderr
    assert "stop it first" in done.stderr


def test_a_run_that_cannot_begin_says_why(box: Box) -> None:
    done = box.process("run", "--repo", "/no/such/repo")

    assert done.returncode == 1
    assert "[R6]" in done.stderr


def test_a_missing_branch_is_an_error_with_the_nearest_one(box: Box) -> None:
    done = box.run("plan", "--repo", str(box.git_repo()), "--branch", "mian")

    assert done.returncode == 1
    assert "did you mean main?" in done.stderr


def test_a_state_folder_that_cannot_be_made_is_an_error(box: Box) -> None:
    (box.folder / "file").write_text("")

    for words in (("apply", "--repo", str(box.git_repo())), ("run", "--repo", str(box.repo))):
        done = box.process(*words, "--state", str(box.folder / "file" / "state"))
        assert done.returncode == 1
        assert "error: " in done.stderr
