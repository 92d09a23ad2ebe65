"""Bad input while it serves, on the real parts: what was done -> what a person reads. Two endpoints answer before, meanwhile and after.

One Ray, one Envoy and one `reconciler run` for all cases; each case puts back what it did.
"""

import contextlib
import os
import resource
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fault_site import ENGINE, NAMES, Site, document, site
from ray_cluster import STUB, until

from tools.demo.stage import Answer

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    with site() as found:
        found.stage.settle("as declared")
        yield found


@pytest.fixture
def calm(running: Site) -> Iterator[Site]:
    """Whatever happens, nobody's engine was touched: the same processes answer afterwards, and the plan is empty again."""
    stage, pids = running.stage, [running.pid(name) for name in NAMES]
    head = stage.git("rev-parse", "HEAD").strip()
    yield running
    if stage.git("rev-parse", "HEAD").strip() != head:
        stage.git("revert", "--no-edit", f"{head}..HEAD")
    stage.trigger()
    stage.settle("as declared after the case")
    assert [running.pid(name) for name in NAMES] == pids


def engine(found: Site, name: str, *options: str, program: str = "{{ python }}") -> None:
    """An engine that starts the stub with these options."""
    command = [program, str(STUB), "--host", "{{ host }}", "--port", "{{ ports.http }}", *options]
    found.declare(f"{name}.yaml", document("Engine", name, {"versions": [{**ENGINE, "ray": {"runner": "process", "command": command}}]}))


def says(found: Site, *words: str, verb: str = "trigger") -> Answer:
    """The verb fails, and its text has all of the words."""
    stage = found.stage
    where = ["--repo", str(stage.config), "--branch", "main"] if verb in ("plan", "apply", "run") else []
    answer = stage.reconciler(verb, *where, "--state", str(stage.state), codes=(1,))
    said = answer.out + answer.err
    assert [word for word in words if word not in said] == [], said
    assert "Traceback" not in said
    assert "internal error" not in said
    return answer


# --- declarations that turn out to be wrong when they are carried out -----------------------------------------------------------------


@dataclass(frozen=True)
class Starts:
    """An endpoint `gamma` whose engine is started so; `status` then says the words."""

    story: str
    options: tuple[str, ...]
    said: tuple[str, ...]
    program: str = "{{ python }}"
    file: str = "stub.gguf"
    seconds: int = 30


STARTS = (
    Starts("crashes", ("--fail", "CUDA out of memory"), ("exited with code 3", "CUDA out of memory")),
    Starts("hangs", ("--hang",), ("/health", "did not answer 200 within 1 s", "thinking about it"), seconds=1),
    Starts("is not installed", (), ("the engine program no-such-engine is not installed", "RAY10"), program="no-such-engine"),
    Starts("has no model", ("-m", "{{ model.path }}"), ("stib.gguf does not exist", "E34"), file="stib.gguf"),
)


def test_engines_that_do_not_start(calm: Site) -> None:
    """All at once, because Serve tries each three times."""
    for number, case in enumerate(STARTS):
        engine(calm, f"bad{number}", *case.options, program=case.program)
        model = {"registry": "files", "name": "stub", "file": case.file, "task": "text-generation"}
        calm.endpoint(
            f"gamma{number}", engine={"name": f"bad{number}", "version": "1"}, model=model, rollout={"timeoutSeconds": case.seconds}
        )
    calm.stage.commit("engines that do not start")

    for number, case in enumerate(STARTS):
        until(lambda case=case, number=number: not missing(detail(calm, f"gamma{number}"), case), 60)  # type: ignore[misc]

    assert calm.stage.plan(codes=(1,)).code == 1
    assert all(calm.pid(name) for name in NAMES)


def detail(found: Site, name: str) -> str:
    """What a person sees of an endpoint: its status, and the plan's problems."""
    status = found.stage.reconciler("status", name, "--state", str(found.stage.state), codes=None)
    return status.out + found.stage.plan().out


def missing(said: str, case: Starts) -> list[str]:
    return [word for word in case.said if word not in said]


def test_a_declaration_that_does_not_parse_keeps_its_endpoint(calm: Site) -> None:
    path = calm.stage.config / "endpoints" / "alpha.yaml"
    path.write_text(path.read_text() + "   replicas: 2\n")
    calm.stage.commit("a wrong indent")

    says(calm, "endpoints/alpha.yaml:", "[E74]", "wrong indent")

    assert all(calm.pid(name) for name in NAMES)


# --- things that are away ---------------------------------------------------------------------------------------------------------------


def test_a_repository_that_goes_away_while_running(calm: Site) -> None:
    config, aside = calm.stage.config, calm.stage.folder / "aside"
    config.rename(aside)
    try:
        says(calm, "[R6]", "is not a Git repository", str(config))
        assert all(calm.pid(name) for name in NAMES)
    finally:
        aside.rename(config)


def test_an_admin_address_that_is_dead(calm: Site) -> None:
    """Envoy runs, and nobody can ask it: what is written waits until it can be seen to have been taken."""
    (path,) = [one for one in (calm.stage.state / "gateway").iterdir() if one.is_socket()]
    aside = path.with_name("aside")
    path.rename(aside)
    try:
        calm.endpoint("alpha", routing={"timeoutSeconds": 77})
        calm.stage.commit("another timeout")
        says(calm, "[T35]", "does not answer at its admin address", "traffic goes on", str(calm.stage.state / "gateway"))
        assert all(calm.pid(name) for name in NAMES)
    finally:
        aside.rename(path)


def test_a_port_that_is_taken(calm: Site) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = {"address": "127.0.0.1", "port": taken.getsockname()[1]}
        output = {"directory": "inner", "run": True}
        calm.declare("inner.yaml", document("Gateway", "inner", {"type": "envoy", "clusters": ["lab"], "listen": listen, "output": output}))
        calm.stage.commit("a gateway on a port that is taken")

        says(calm, "[L6]", f"port {listen['port']} on 127.0.0.1 is taken by", f"(pid {os.getpid()})", "choose another address or port")


def test_the_gateway_is_moved_to_a_port_that_is_taken(calm: Site) -> None:
    """It stays where it is."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = {"address": "127.0.0.1", "port": taken.getsockname()[1]}
        gateway = {"type": "envoy", "clusters": ["lab"], "listen": listen, "output": {"directory": "gateway", "run": True}}
        calm.declare("public.yaml", document("Gateway", "public", gateway))
        calm.stage.commit("the gateway moves to a port that is taken")

        says(calm, "[T38]", f"{listen['port']}", "Address already in use", "until then it listens as before")
        assert all(calm.pid(name) for name in NAMES)


# --- the state folder -------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def no_room(found: Site) -> Iterator[None]:
    """The daemon, and the git that it starts, can write no more into any file: what a full disk or a quota does."""
    assert found.stage.daemon is not None
    pid = found.stage.daemon.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def test_no_room_left_while_running(calm: Site) -> None:
    calm.endpoint("alpha", replicas=2)
    calm.stage.git("commit", "--quiet", "-a", "-m", "alpha has two replicas")
    with no_room(calm):
        says(calm, str(calm.stage.state), "make room")
        assert all(calm.pid(name) for name in NAMES)


def test_a_record_that_is_damaged_while_running(calm: Site) -> None:
    path = calm.stage.state / "record.json"
    before = path.read_bytes()
    path.write_bytes(before[:100])
    try:
        calm.endpoint("alpha", replicas=2)
        calm.stage.git("commit", "--quiet", "-a", "-m", "alpha has two replicas")
        says(calm, "[S4]", "the record is damaged", "restore it from a copy")
        says(calm, "[S4]", verb="status")
        assert path.read_bytes() == before[:100], "what is damaged is left for a person to look at"
    finally:
        path.write_bytes(before)


def test_a_gateway_state_that_is_damaged_while_running(calm: Site) -> None:
    path = calm.stage.state / "gateway" / "state.json"
    before = path.read_bytes()
    path.write_bytes(b"{")
    try:
        calm.endpoint("alpha", routing={"timeoutSeconds": 99})
        calm.stage.commit("another timeout")
        says(calm, "[T33]", "state.json", "traffic goes on as it is")
        assert all(calm.pid(name) for name in NAMES)
    finally:
        path.write_bytes(before)


# --- two at once, and nobody ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "words"), [("run", ("[S2]", "`reconciler run` (pid")), ("apply", ("[S2]", "is being written by `reconciler run`"))]
)
def test_a_second_writer(calm: Site, verb: str, words: tuple[str, ...]) -> None:
    says(calm, *words, "reconciler trigger", verb=verb)


def test_programs_of_a_daemon_are_not_stopped_under_it(calm: Site) -> None:
    answer = calm.stage.reconciler("local", "stop", "--state", str(calm.stage.state), codes=(1,))

    assert "stop it first" in answer.err


def test_a_daemon_that_was_killed(calm: Site) -> None:
    """Its socket is left behind, and what it started goes on."""
    calm.stage.kill_daemon(signal.SIGKILL)
    try:
        assert (calm.stage.state / "reconciler.sock").exists()
        says(calm, "[D1]", "no daemon runs on this state folder", "reconciler run")
        status = calm.stage.reconciler("status", "--state", str(calm.stage.state))
        assert "alpha" in status.out
        assert "No daemon runs" in status.err
        assert all(calm.pid(name) for name in NAMES)
    finally:
        calm.stage.start_daemon()


def test_a_ray_that_was_stopped_by_hand_is_not_taken_for_empty(calm: Site) -> None:
    """A dashboard that hangs: what runs there is not known, and nothing of it is changed."""
    dashboard = next(pid for pid, command in calm.stage.processes().items() if "dashboard/dashboard.py" in command)
    gateway = (calm.stage.state / "gateway" / "state.json").read_bytes()
    os.kill(dashboard, signal.SIGSTOP)
    try:
        calm.stage.git("rm", "--quiet", "endpoints/beta.yaml")
        calm.stage.git("commit", "--quiet", "-m", "beta is removed")
        says(calm, "[RAY1]", "Ray does not answer", "no answer in time", verb="plan")
        assert all(calm.pid(name) for name in NAMES)
        assert (calm.stage.state / "gateway" / "state.json").read_bytes() == gateway
    finally:
        os.kill(dashboard, signal.SIGCONT)
