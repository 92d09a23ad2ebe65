"""Bad input while running, as a person meets it at the command line: what was done -> what is said. No servers.

Before each case an endpoint serves (a dashboard plays Ray), its route and key are published, and the plan is empty. Whatever goes wrong:
the message says what, where, why and what to do; no traceback; and everything that serves or is remembered is as it was.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import jsonschema
import pytest

from reconciler.daemon.control import LOCK
from reconciler.state.lock import Lock
from tests.git_http import git_server
from tests.git_repos import commit, git, new_repo
from tests.serve_answers import EMPTY
from tests.served_site import CHAT, COMMAND, LIST, ROOT, Site, again, served

pytestmark = pytest.mark.slow  # a process of the command line for each case

Given = Callable[[Site], object]


@dataclass(frozen=True)
class Bad:
    """words: the command; {config}, {state}, {folder} stand for the site's. said: words of the answer."""

    story: str
    words: str
    said: tuple[str, ...]
    given: Given = lambda site: None
    code: int = 1


# --- what a person has done ---------------------------------------------------------------------------------------------------------


def writes(path: str, content: str | bytes) -> Given:
    """A file in the config repo, committed."""
    return lambda site: commit(site.config, {path: content})


def remote(answer: int = 0, wanted: str = "Basic nobody") -> Given:
    """The repository comes over HTTP: the server wants a token, or answers with a status."""

    def given(site: Site) -> None:
        root = site.folder / "remote"
        root.mkdir()
        git(root, "clone", "--quiet", "--bare", str(site.config), "config.git")
        server = site.stack.enter_context(git_server(root))
        server.answer, server.wanted = answer, wanted
        site.more["RECONCILER_REPO"] = f"{server.url}/config.git"

    return given


def says(**more: str) -> Given:
    """Environment variables."""
    return lambda site: site.more.update(more)


def toml(text: bytes) -> Given:
    return lambda site: (site.folder / "reconciler.toml").write_bytes(text)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unreachable(site: Site) -> None:
    site.more["RECONCILER_REPO"] = f"http://127.0.0.1:{closed_port()}/config.git"


def shallow(site: Site) -> None:
    commit(site.config, {}, "second")
    git(site.folder, "clone", "--quiet", "--depth=1", f"file://{site.config}", "shallow")
    site.more["RECONCILER_REPO"] = str(site.folder / "shallow")


def link_outside(site: Site) -> None:
    (site.config / "more.yaml").symlink_to("/etc/passwd")
    commit(site.config, {})


def damaged_cache(site: Site) -> None:
    for path in (site.state / "git").rglob("objects/??/*"):
        path.chmod(0o600)
        path.write_bytes(b"not zlib")


def without_git(site: Site) -> None:
    (site.folder / "bin").mkdir()
    site.more["PATH"] = str(site.folder / "bin")


def rewound(site: Site) -> None:
    path = site.config / "chat.yaml"
    path.write_text(path.read_text() + "  replicas: 2\n")
    git(site.config, "commit", "--quiet", "--all", "--amend", "-m", "another history")


def all_removed(site: Site) -> None:
    git(site.config, "rm", "--quiet", "chat.yaml", "key.yaml")
    commit(site.config, {})


def ray_says(*answer: object) -> Given:
    """Every path of the dashboard answers this: (status, text), or a document as the list of applications."""

    def given(site: Site) -> None:
        if len(answer) == 2:
            for path in (LIST, "/api/ray/version", "/api/v0/actors"):
                site.ray.answers[path] = answer
        else:
            site.ray.answers[LIST] = answer[0]

    return given


def away(site: Site) -> None:
    site.cluster(dashboardUrl=f"http://127.0.0.1:{closed_port()}", modelRoot="/models")


def token_wanted(site: Site) -> None:
    site.cluster(dashboardUrl=site.ray.address, modelRoot="/models", tokenRef={"name": "lab-token", "key": "token"})


def local_ray(site: Site) -> None:
    """A second cluster, on this box, and an endpoint on it."""
    site.declare("here.yaml", "Cluster", "here", {"type": "ray", "ray": {"local": True}, "drainSeconds": 5})
    site.declare("second.yaml", "Endpoint", "second", {**CHAT, "cluster": "here"}, workspace="default")
    commit(site.config, {})


def second_gateway(site: Site, port: int) -> None:
    listen = {"address": "127.0.0.1", "port": port}
    output = {"directory": "inner", "run": True}
    site.declare("inner.yaml", "Gateway", "inner", {"type": "envoy", "clusters": ["lab"], "listen": listen, "output": output})
    commit(site.config, {})


def port_taken(site: Site) -> None:
    taken = site.stack.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    second_gateway(site, taken.getsockname()[1])


def bare_python(site: Site) -> None:
    """The same Python without the packages of Ray and Envoy."""
    farm, packages = site.folder / "packages", Path(sysconfig.get_paths()["purelib"])
    farm.mkdir()
    for entry in packages.iterdir():
        if not entry.name.startswith(("ray", "envoy", "__editable__")):
            (farm / entry.name).symlink_to(entry)
    git_only = site.folder / "bin"
    git_only.mkdir()
    (git_only / "git").symlink_to(shutil.which("git") or "git")
    site.program = (sys.executable, "-S", *COMMAND[1:])
    site.more |= {"PYTHONPATH": f"{ROOT}:{farm}", "PATH": str(git_only)}


def without_envoy(site: Site) -> None:
    bare_python(site)
    second_gateway(site, closed_port())


def without_ray(site: Site) -> None:
    bare_python(site)
    local_ray(site)


def gateway_file(content: bytes | None) -> Given:
    def given(site: Site) -> None:
        path = site.state / "gateway" / "state.json"
        path.unlink() if content is None else path.write_bytes(content)

    return given


def record(content: bytes) -> Given:
    return lambda site: site.record.write_bytes(content)


def another_repo(site: Site) -> None:
    commit(new_repo(site.folder / "other"), {"settings.yaml": (site.config / "settings.yaml").read_text()})
    site.more["RECONCILER_REPO"] = str(site.folder / "other")


def state_is_a_file(site: Site) -> None:
    (site.folder / "plain").write_text("")
    site.more["RECONCILER_STATE"] = str(site.folder / "plain")


def state_without_rights(site: Site) -> None:
    """Nobody may write in /proc, not even root."""
    site.more["RECONCILER_STATE"] = "/proc/reconciler"


def stale_socket(site: Site) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(os.path.relpath(site.state / "reconciler.sock"))


def held(lock: str, who: str) -> Given:
    """Another process, here this one, holds a lock of the state folder."""

    def given(site: Site) -> None:
        site.stack.callback(Lock.take(site.state / lock, "something", who).release)

    return given


def small_files(site: Site) -> None:
    """No file may get larger than 4 KiB: what a quota does. Git and Python meet it when they write."""
    commit(site.config, {"new.yaml": (site.config / "settings.yaml").read_text() + "# " + os.urandom(20_000).hex() + "\n"})
    site.before = ("/bin/sh", "-c", 'ulimit -f 8; exec "$@"', "sh")


def full_disk(site: Site) -> None:
    """The state folder lies on a file system without room."""
    if os.geteuid():
        pytest.skip("mounting a small file system needs root")
    content = site.folder / "content"
    site.state.rename(content)
    site.state.mkdir()
    size = sum(path.stat().st_blocks * 512 + 4096 for path in content.rglob("*") if not path.is_symlink()) + (256 << 10)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(site.state)], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("this box lets nobody mount a small file system")
    site.stack.callback(subprocess.run, ["umount", "--lazy", str(site.state)], check=True)
    shutil.copytree(content, site.state, symlinks=True, dirs_exist_ok=True)
    fill(site.state)
    commit(site.config, {"chat.yaml": (site.config / "chat.yaml").read_text() + "  replicas: 2\n"})


def fill(folder: Path) -> None:
    with open(folder / "filler", "wb", buffering=0) as filler, suppress(OSError):
        while filler.write(b"\0" * 4096):
            pass


def full_since_the_fetch(site: Site) -> None:
    """Git has what it needs; what is remembered cannot be written."""
    full_disk(site)
    (site.state / "filler").unlink()
    site.run("plan")
    fill(site.state)


def folder_gone(site: Site) -> None:
    """The shell stands in a folder that somebody has removed."""
    site.before = ("/bin/sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh")


def nowhere_to_print(site: Site) -> None:
    site.before = ("/bin/sh", "-c", 'exec "$@" > /dev/full', "sh")


BOMB: Final = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

REPOSITORY: Final = (
    Bad("YAML that ends in the middle", "plan", ("bad.yaml:2", "[E74]", "not YAML"), writes("bad.yaml", "kind: [Endpoint\n")),
    Bad(
        "... and is applied",
        "apply",
        ("chat.yaml:", "[E74]", "indent"),
        lambda s: writes("chat.yaml", (s.config / "chat.yaml").read_text() + "   x: 1\n")(s),
    ),
    Bad("an alias bomb", "apply", ("bad.yaml:5", "[E74]", "aliases that expand too far", "write the values"), writes("bad.yaml", BOMB)),
    Bad("a file of 50 MB", "apply", ("bad.yaml", "[E74]", "50.0 MiB", "split it"), writes("bad.yaml", b"#" + b" " * (50 << 20))),
    Bad("a link out of the repo", "plan", ("more.yaml", "[E78]", "/etc/passwd"), link_outside),
    Bad("a link out of a folder", "validate {config}", ("more.yaml", "[E78]", "/etc/passwd"), link_outside),
    Bad("everything removed", "apply", ("Held", "Reconciler-Ack: sha256:"), all_removed, 3),
    Bad("a branch that was rewound", "apply", ("rewound", "Reconciler-Ack: sha256:"), rewound, 3),
    Bad(
        "an empty repository",
        "plan",
        ("[R5]", "no commits", "nothing is changed", "commit something"),
        lambda s: says(RECONCILER_REPO=str(new_repo(s.folder / "new")))(s),
    ),
    Bad(
        "a branch that is not there",
        "apply --branch mian",
        ("[R4]", "no branch 'mian'", "it has main", "did you mean main?"),
    ),
    Bad(
        "a branch that is none",
        "plan --branch ../x",
        ("[R4]", "'../x' is not a branch name", "name a branch"),
    ),
    Bad(
        "nobody listens at the URL",
        "apply",
        ("[R2]", "cannot be reached", "127.0.0.1", "the last commit that was fetched stays in force"),
        unreachable,
    ),
    Bad(
        "a wrong token",
        "apply",
        ("[R3]", "refuses us", "/config.git", "RECONCILER_GIT_TOKEN"),
        lambda s: (remote()(s), says(RECONCILER_GIT_TOKEN="wrong-one")(s)),
    ),
    Bad("a token that may not", "plan", ("[R3]", "refuses us", "403", "RECONCILER_GIT_TOKEN"), remote(403)),
    Bad("a forge that is down", "plan", ("[R2]", "cannot be reached", "503"), remote(503)),
    Bad("a URL without a repository", "plan", ("[R6]", "is not a Git repository", "name a repository"), remote(404)),
    Bad(
        "a folder that is no repository",
        "plan --repo {folder}",
        ("[R6]", "is not a Git repository", "name a repository"),
    ),
    Bad(
        "a path that is not there",
        "apply --repo /no/such/repo",
        ("[R6]", "'/no/such/repo' is not a Git repository", "no such folder"),
    ),
    Bad(
        "a helper in place of a URL",
        "plan --repo ext::sh",
        ("[R6]", "neither a folder nor a URL"),
    ),
    Bad(
        "a token in clear",
        "plan --repo http://user:secret-word@192.0.2.1/x.git",
        ("[R3]", "in clear", "use https"),
    ),
    Bad("a shallow clone", "plan", ("[R9]", "is a shallow clone", "fetch-depth: 0"), shallow),
    Bad("a damaged cache", "plan", ("[R7]", "may be removed", "/state/git/"), damaged_cache),
    Bad("no git on this box", "plan", ("[R1]", "git was not found", "install git"), without_git),
    Bad(
        "a folder that is not there",
        "validate {folder}/nowhere",
        ("[U2]", "is not a folder", "check the path"),
    ),
)
TARGETS: Final = (
    Bad("Ray is away", "apply", ("[RAY1]", "Ray does not answer", "the connection is refused", "ray.dashboardUrl"), away),
    Bad(
        "Ray's address answers HTML",
        "apply",
        ("[RAY5]", "no Ray dashboard", "write the dashboard's address"),
        ray_says(200, "<html>hello</html>"),
    ),
    Bad("Ray wants a token", "apply", ("[RAY2]", "refuses the token", "401", "ray.tokenRef"), ray_says(401, "who are you?")),
    Bad("Ray refuses this token", "apply", ("[RAY2]", "refuses the token", "403", "this cluster's token"), ray_says(403, "no")),
    Bad("a token that is not in the store", "apply", ("[RAY2]", "lab-token", "set RECONCILER_SECRET_LAB_TOKEN"), token_wanted),
    Bad("Ray's control plane is down", "apply", ("[RAY3]", "control plane is down", "500", "GCS"), ray_says(500, "GCS is gone")),
    Bad("half an answer of Ray", "apply", ("[RAY5]", "not complete", "would be written back"), ray_says({"controller_info": {"a": "b"}})),
    Bad("an empty list that may mean not found", "apply", ("[RAY6]", "http://127.0.0.1"), ray_says(EMPTY)),
    Bad("Ray is not installed", "apply", ("[L2]", "Ray is not installed", 'pip install "reconciler[ray]"'), without_ray),
    Bad("the engine's program is missing", "plan", ("[RAY10]", "stub is not installed", "looked in", "install stub"), local_ray),
    Bad("the model's file is missing", "plan", ("[E34]", "stub.gguf does not exist", "put the file there"), local_ray),
    Bad("envoy is not installed", "apply", ("[L2]", "envoy is not installed", "not on PATH", "install it"), without_envoy),
    Bad(
        "the gateway's port is taken",
        "apply",
        ("[L6]", "is taken by", f"(pid {os.getpid()})", "choose another address or port"),
        port_taken,
    ),
    Bad(
        "the gateway's state is damaged",
        "apply",
        ("[T33]", "state.json", "traffic goes on as it is", "previous/state.json"),
        gateway_file(b"{"),
    ),
    Bad(
        "the gateway's state is gone",
        "apply",
        ("[T33]", "without state.json", "not an empty one", "previous/state.json"),
        gateway_file(None),
    ),
)
STATE: Final = (
    Bad("a damaged record", "apply", ("[S4]", "the record is damaged", "record.json", "restore it from a copy"), record(b'{"format": 1,')),
    Bad("... and a plan", "plan", ("[S4]", "the record is damaged", "record.json", "restore it from a copy"), record(b"")),
    Bad("... and a status", "status", ("[S4]", "the record is damaged", "record.json"), record(b"[]")),
    Bad("a record of a later version", "apply", ("[S4]", "format 2 is not 1", "record.json"), record(b'{"format": 2}')),
    Bad(
        "the state folder of another repo",
        "apply",
        ("[S3]", "belongs to the repo with root commit", "name another folder with --state"),
        another_repo,
    ),
    Bad("the state folder is a file", "apply", ("/plain", "cannot be made", "--state"), state_is_a_file),
    Bad("... and a run", "run", ("/plain", "[S1]", "--state"), state_is_a_file),
    Bad("... and a status", "status", ("/plain", "[S1]", "--state"), state_is_a_file),
    Bad("... and local status", "local status", ("/plain", "[S1]", "--state"), state_is_a_file),
    Bad("a state folder that may not be written", "apply", ("/proc/reconciler", "cannot be made", "--state"), state_without_rights),
    Bad("... and a run", "run", ("[S1]", "/proc/reconciler", "correct the rights"), state_without_rights),
    Bad("a full disk", "apply", ("No space left on device", "/state", "room"), full_disk),
    Bad("... and a plan", "plan", ("No space left on device", "/state", "room"), full_disk),
    Bad("... after the fetch", "apply", ("[S1]", "No space left on device", "/state", "free space"), full_since_the_fetch),
    Bad("... and a run", "run", ("[S1]", "No space left on device", "/state", "free space"), full_disk),
    Bad("a limit on the size of files", "apply", ("[R12]", "/state/git", "correct its rights"), small_files),
    Bad(
        "another process writes",
        "apply",
        ("[S2]", "lab is being written by `reconciler run`", f"pid {os.getpid()}", "reconciler trigger"),
        held("locks/lab.lock", "run"),
    ),
    Bad("a second run", "run", ("[S2]", "`reconciler run`", f"pid {os.getpid()}", "reconciler trigger"), held(LOCK, "run")),
    Bad("nothing to trigger", "trigger", ("[D1]", "no daemon runs", "/state", "reconciler run")),
    Bad("a socket of a killed daemon", "trigger", ("[D1]", "no daemon runs", "/state", "reconciler run"), stale_socket),
    Bad("programs of a daemon are stopped", "local stop", (f"pid {os.getpid()}", "[S2]", "stop it first"), held(LOCK, "run")),
)
COMMAND_LINE: Final = (
    Bad("an unknown option", "plan --dry-run", ("[U1]", "--dry-run", "see reconciler plan --help")),
    Bad("no repository", "plan", ("[U2]", "which repository?", "--repo URL"), says(RECONCILER_REPO="")),
    Bad("an interval that is no time", "run --interval soon", ("[K2]", "'soon' is not a duration", "90d")),
    Bad("an endpoint with a typing mistake", "status chta", ("[U6]", "no endpoint 'chta'", "did you mean chat?")),
    Bad(
        "an unknown key in reconciler.toml",
        "plan",
        ("[U3]", "reconciler.toml", "unknown key 'branhc'", "did you mean branch?"),
        toml(b'branhc = "x"'),
    ),
    Bad("reconciler.toml is none", "plan", ("[U3]", "reconciler.toml", "no TOML", 'repo = "URL"'), toml(b"repo: x\n")),
    Bad("reconciler.toml is not UTF-8", "plan", ("[U3]", "reconciler.toml", "cannot be read"), toml(b'repo = "\xff"')),
    Bad("a variable that names no folder", "plan", ("[R6]", "'nowhere' is not a Git repository"), says(RECONCILER_REPO="nowhere")),
    Bad(
        "a token of two lines",
        "plan",
        ("[R3]", "refuses us", "RECONCILER_GIT_TOKEN"),
        lambda s: (remote()(s), says(RECONCILER_GIT_TOKEN="one\ntwo")(s)),
    ),
    Bad("a repository that is no UTF-8", "plan --repo \udcff", ("[R6]", "is not a Git repository")),
    Bad("the folder was removed", "plan --state here", ("[U2]", "which folder is 'here'?", "cd to a folder"), folder_gone),
    Bad("nowhere to print", "plan", ("[U7]", "No space left on device", "make room"), nowhere_to_print),
    Bad("a key beside an older one", "keys create --owner x --name ci --write {config}/key.yaml", ("[K4]", "stands in", "rotate it")),
    Bad("a key in a file that is not there", "keys rotate ci --write {folder}/no.yaml", ("[U5]", "no.yaml", "No such file")),
    Bad(
        "a key in a file that is no YAML",
        "keys rotate ci --write {folder}/a.txt",
        ("[K4]", "no YAML"),
        lambda s: (s.folder / "a.txt").write_text("a: ["),
    ),
    Bad("a key that nobody declared", "keys revoke nobody --write {config}/key.yaml", ("[K4]", "nobody", "name the file")),
    Bad(
        "a key where nobody may write", "keys create --owner x --write /proc/x/key.yaml", ("[U5]", "/proc/x/key.yaml", "cannot be written")
    ),
)
CASES: Final = (*REPOSITORY, *TARGETS, *STATE, *COMMAND_LINE)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Path]]:
    folder = tmp_path_factory.mktemp("bad")
    with served(folder) as site:
        shutil.copytree(site.folder, folder / "template", symlinks=True)
        yield site, folder / "template"


@pytest.fixture
def site(template: tuple[Site, Path]) -> Iterator[Site]:
    with again(*template) as fresh:
        yield fresh


@pytest.mark.usefixtures("hanging")
def test_before_each_case_the_site_serves(site: Site) -> None:
    done = site.run("plan")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ready" in site.run("status").stdout


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: f"{bad.words.split()[0]}: {bad.story}")
def test_it_is_said_and_nothing_is_lost(site: Site, bad: Bad) -> None:
    bad.given(site)
    kept, remembered = site.kept(), site.remembered()
    words = bad.words.format(config=site.config, state=site.state, folder=site.folder).split()

    done = site.run(*words)

    said = done.stdout + done.stderr
    assert done.returncode == bad.code, said
    assert [word for word in bad.said if word not in said] == [], said
    assert "Traceback" not in said
    assert not list(site.folder.rglob("crashes")), said
    assert "secret-word" not in said
    assert (site.kept(), remembered - site.remembered()) == (kept, frozenset())


@pytest.mark.parametrize(
    ("words", "form", "given"),
    [
        ("plan", "error", unreachable),
        ("apply", "error", record(b"{")),
        ("status", "error", record(b"{")),
        ("trigger", "error", stale_socket),
        ("plan --unknown", "error", without_git),
        ("validate", "validation", writes("bad.yaml", "kind: [Endpoint\n")),
        ("plan", "plan", away),
        ("apply", "plan", gateway_file(b"{")),
    ],
)
def test_json_stays_json(site: Site, words: str, form: str, given: Given) -> None:
    given(site)

    done = site.run(*words.split(), "--json")

    found = json.loads(done.stdout)
    jsonschema.validate(found, json.loads((ROOT / "schemas" / f"{form}.json").read_text()))
    assert done.returncode == 1
    assert form != "plan" or found["exitCode"] == 1
    assert bool(done.stderr) == (form == "error"), "for people, too"


class _Silence(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(3600)


@contextmanager
def silence() -> Iterator[str]:
    """A server that takes every request and never answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Silence)
    server.daemon_threads, server.block_on_close = True, False
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def hanging(template: tuple[Site, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator["subprocess.Popen[str]"]:
    """A plan against a Ray that takes the question and never answers; begun early, because it waits for half a minute."""
    served_site, copy = template
    folder = tmp_path_factory.mktemp("hanging") / "site"
    shutil.copytree(copy, folder, symlinks=True)
    site = Site(folder, served_site.ray)
    with silence() as address:
        site.cluster(dashboardUrl=address, modelRoot="/models")
        child = subprocess.Popen([*COMMAND, "plan"], cwd=folder, env=site.environment(), stdout=subprocess.PIPE, text=True)
        try:
            yield child
        finally:
            child.kill()
            child.communicate()


def test_a_ray_that_hangs(hanging: "subprocess.Popen[str]") -> None:
    said, _ = hanging.communicate(timeout=120)

    assert hanging.returncode == 1
    assert [word for word in ("[RAY1]", "Ray does not answer", "no answer in time", "ray.dashboardUrl") if word not in said] == [], said
    assert "No changes" in said


def test_a_reader_that_goes_away(site: Site) -> None:
    site.before = ("/bin/sh", "-c", '"$@" | head -1', "sh")

    done = site.run("plan")

    assert (done.stdout.count("\n"), done.stderr) == (1, "")


@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_ctrl_c_while_git_hangs(site: Site, verb: str) -> None:
    kept = site.kept()
    with silence() as address:
        command = [*COMMAND, verb, "--repo", f"{address}/config.git"]
        child = subprocess.Popen(
            command, cwd=site.folder, env=site.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            until(lambda: children(child.pid))
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=60)
        finally:
            child.kill()
            child.wait()

    assert (child.returncode, out, err) == (130, "", "")
    assert site.kept() == kept


def children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_is_on_a_terminal_is_said_once(site: Site) -> None:
    """Every message ends its first line with its code, and is said once."""
    unreachable(site)

    done = site.run("apply")

    assert re.fullmatch(r"error: .* \[R2\]\n  .*\n  .*\n", done.stderr)
