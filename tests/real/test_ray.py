"""The Ray target against a real Ray, in the order of an endpoint's life. One Ray for all: each test has endpoint names of its own."""

import contextlib
import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from ray_cluster import CLAIM, RayCluster, ask, is_running, names, number, pids_with, secrets_for, stub, until

from reconciler import local
from reconciler.change import ChangeClass, Create, Delete, Effects, Rebind
from reconciler.errors import TargetError, TargetUnavailable
from reconciler.local import ray
from reconciler.local.ray_record import load
from reconciler.resource import Binding, Mark, ReplicaState
from reconciler.targets.ray.document import name_of
from reconciler.targets.ray.target import LocalRayTarget
from reconciler.targets.rendering import SecretEnv

pytestmark = [pytest.mark.real]
DELETE = Effects(ChangeClass.DELETE)


def record_of(cluster: RayCluster):  # type: ignore[no-untyped-def]
    record = load(ray.home_of(cluster.folder, cluster.spec.name).record)
    assert record is not None
    return record


class Load:
    """Requests one after the other, to the addresses that the cluster offers at that moment, as a gateway that follows them would send."""

    def __init__(self, cluster: RayCluster, name: str) -> None:
        self._cluster, self._path = cluster, f"/team-a/{name}/who"
        self._key = cluster.resource(stub(name)).key
        self._end = threading.Event()
        self.addresses = cluster.serves(self._key).addresses
        self.pids: set[int] = set()
        self.sent, self.lost = 0, []  # type: int, list[str]
        self._threads = [threading.Thread(target=run) for run in (self._follow, self._send)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _follow(self) -> None:
        while not self._end.wait(0.3):
            with contextlib.suppress(TargetError):
                live = self._cluster.live(self._key)
                self.addresses = (live.addresses if live else ()) or self.addresses

    def _send(self) -> None:
        while not self._end.is_set():
            try:
                self.pids.add(number(ask(self.addresses[self.sent % len(self.addresses)], self._path), "pid"))
            except (OSError, urllib.error.URLError) as error:
                self.lost.append(repr(error))
            self.sent += 1
            time.sleep(0.01)


def test_a_start_whose_starter_was_killed_is_finished_by_the_next(ray_cluster: RayCluster) -> None:
    (program,) = ray.status(ray_cluster.folder)

    assert program.state == "running"
    assert record_of(ray_cluster).leader is not None


def test_an_endpoint_is_deployed_and_read_back_as_it_was_rendered(ray_cluster: RayCluster) -> None:
    secret = ray_cluster.folder / "secrets" / "hf" / "token"
    secret.parent.mkdir(parents=True)
    secret.write_text("a-secret-value\n")
    workload = secrets_for(stub("first", env={"PORT_SEEN": "{port}", "JSON": '{"a": 1}'}), SecretEnv("HF_TOKEN", "hf", "token"))

    (resource,) = ray_cluster.create(workload)
    live = ray_cluster.serves(resource.key)
    seen = ray_cluster.ask(live, "/v1/a%2Fb%20c?d=%20e")
    environment = seen["environment"]

    assert live.manifest == resource.manifest
    assert live.mark == resource.mark(CLAIM.instance, CLAIM.repo)
    assert seen["path"] == "/v1/a%2Fb%20c?d=%20e"
    assert isinstance(environment, dict)
    assert environment["HF_TOKEN"] == "a-secret-value"
    assert environment["PORT_SEEN"].isdigit()
    assert environment["JSON"] == '{"a": 1}'
    assert [name for name in environment if "RAY" in name or name == "OMP_NUM_THREADS"] == []
    assert "a-secret-value" not in json.dumps(ray_cluster.answer())


def test_writing_what_is_there_sends_nothing(ray_cluster: RayCluster) -> None:
    (resource,) = ray_cluster.create(stub("twice"))
    before = ray_cluster.serves(resource.key).version

    ray_cluster.create(stub("twice"))

    live = ray_cluster.live(resource.key)
    assert live is not None
    assert live.version == before


def test_a_stream_passes_word_by_word(ray_cluster: RayCluster) -> None:
    (resource,) = ray_cluster.create(stub("stream"))
    live = ray_cluster.serves(resource.key)
    body = json.dumps({"messages": [{"role": "user", "content": "one two three four five six"}]}).encode()
    moments = []

    with urllib.request.urlopen(f"http://{live.addresses[0]}/team-a/stream/v1/chat/completions", data=body, timeout=10) as answer:
        for line in answer:
            if line.strip():
                moments.append((time.monotonic(), line.decode().strip()))

    assert [word for _, word in moments] == ["data: " + word for word in ("one", "two", "three", "four", "five", "six", "[DONE]")]
    assert moments[-1][0] - moments[0][0] > 0.2


def test_more_replicas_come_in_place(ray_cluster: RayCluster) -> None:
    (resource,) = ray_cluster.create(stub("scaled"))
    before = ray_cluster.ask(ray_cluster.serves(resource.key))["pid"]

    ray_cluster.update(stub("scaled", replicas=2))
    live = ray_cluster.serves(resource.key, replicas=2)

    assert before in {ray_cluster.ask(live, address=0)["pid"], ray_cluster.ask(live, address=1)["pid"]}
    ray_cluster.update(stub("scaled", replicas=1))
    ray_cluster.serves(resource.key)


def test_an_update_with_surge_loses_no_request(ray_cluster: RayCluster) -> None:
    (resource,) = ray_cluster.create(stub("rolled"))

    with Load(ray_cluster, "rolled") as load_:
        before = ray_cluster.ask(ray_cluster.serves(resource.key))["pid"]
        ray_cluster.update(stub("rolled", restarted_at="2026-01-01"))
        until(lambda: len(load_.pids) > 1)
        ray_cluster.serves(resource.key)
        until(lambda: not is_running(before))  # type: ignore[arg-type]

    assert load_.lost == []
    assert load_.sent > 50


def test_a_dead_engine_ends_its_replica_and_addresses_follow(ray_cluster: RayCluster) -> None:
    (resource,) = ray_cluster.create(stub("engine-dies"))
    before = ray_cluster.serves(resource.key)
    pid = number(ray_cluster.ask(before), "pid")

    os.kill(pid, signal.SIGKILL)

    until(lambda: (live := ray_cluster.live(resource.key)) and live.addresses != before.addresses, 10)
    after = ray_cluster.serves(resource.key)
    assert ray_cluster.ask(after)["pid"] != pid


def test_a_replica_that_is_killed_leaves_no_engine(ray_cluster: RayCluster) -> None:
    (resource,) = ray_cluster.create(stub("replica-dies"))
    engine = number(ray_cluster.ask(ray_cluster.serves(resource.key)), "pid")
    replica = int(Path(f"/proc/{engine}/stat").read_text().rpartition(")")[2].split()[1])

    os.kill(replica, signal.SIGKILL)

    until(lambda: not is_running(engine), 5)
    until(lambda: (live := ray_cluster.live(resource.key)) and live.serving and live.serving.ready == 1)


def test_engines_that_do_not_come_up_say_why_and_are_given_up(ray_cluster: RayCluster, tmp_path: Path) -> None:
    refusal = tmp_path / "refusal"
    refusal.touch()
    crash, hang, away, later = ray_cluster.create(
        stub("crashes", "--fail", "CUDA out of memory"),
        stub("hangs", "--hang", startup_timeout=1.0),
        stub("missing", command=("no-such-engine", "--port", "{port}")),
        stub("later", "--fail-while", str(refusal)),
    )
    said = {}

    def all_given_up() -> bool:
        live = ray_cluster.read().resources
        for resource in (crash, hang, away, later):
            facts = live[resource.key].serving
            if facts is None or not facts.gave_up:
                return False
            said[resource.key.name] = (facts.message, [replica.state for replica in facts.replicas])
        return True

    until(all_given_up, 90)
    assert said["crashes"][0].startswith("engine exited with code 3: loading the weights | CUDA out of memory")
    assert "/health did not answer 200 within 1 s" in said["hangs"][0]
    assert "thinking about it" in said["hangs"][0]
    assert "no-such-engine cannot be started" in said["missing"][0]
    assert {state for _, states in said.values() for state in states} == {ReplicaState.FAILING}
    assert pids_with("--hang") == []

    refusal.unlink()
    live = ray_cluster.read().resources
    rebind = Rebind(live[later.key], Binding(attempt=1), "another try")
    deletes = [Delete(live[resource.key], DELETE) for resource in (crash, hang, away)]
    assert names(ray_cluster.write(rebind, *deletes)) == [""] * 4
    again = ray_cluster.serves(later.key)
    assert again.binding.attempt == 1
    assert again.manifest == later.manifest


def test_what_is_not_ours_survives_a_write_and_holds_its_name(ray_cluster: RayCluster) -> None:
    foreign = dict(ray_cluster.resource(stub("taken")).manifest)
    other = {**foreign, "name": "somebody", "route_prefix": "/somebody"}
    ray_cluster.put_by_hand({"team-a_taken": foreign, "somebody": other})
    wanted = ray_cluster.resource(stub("taken"))

    conflict = ray_cluster.read(wanted).resources[wanted.key]
    (outcome,) = ray_cluster.write(Create(wanted, Effects(ChangeClass.CREATE)))
    ray_cluster.create(stub("beside"))
    after = ray_cluster.answer()

    assert conflict.mark is None
    assert outcome.problem is not None
    assert outcome.problem.code == "RAY7"
    assert after["applications"]["somebody"]["deployed_app_config"] == other
    assert after["applications"]["team-a_taken"]["deployed_app_config"] == foreign


def test_a_change_that_somebody_was_quicker_with_is_not_made(ray_cluster: RayCluster) -> None:
    (resource,) = ray_cluster.create(stub("raced"))
    planned = ray_cluster.live(resource.key)
    assert planned is not None
    ray_cluster.update(stub("raced", restarted_at="now"))

    (outcome,) = ray_cluster.write(Delete(planned, DELETE))

    assert names([outcome]) == ["RAY7"]
    assert ray_cluster.live(resource.key) is not None


def test_another_instance_is_seen_only_where_it_is_in_the_way(ray_cluster: RayCluster) -> None:
    wanted = ray_cluster.resource(stub("theirs"))
    mark = Mark("other", "root", wanted.owner, wanted.digest)
    document = dict(wanted.manifest)
    document["deployments"] = [{**wanted.manifest["deployments"][0], "user_config": mark.as_json()}]  # type: ignore[index, dict-item, call-overload]
    ray_cluster.put_by_hand({name_of(wanted.key): document})

    assert wanted.key not in ray_cluster.read().resources
    assert ray_cluster.read(wanted).resources[wanted.key].mark == mark


def test_pause_leaves_the_list_and_resume_comes_back(ray_cluster: RayCluster) -> None:
    (resource,) = ray_cluster.create(stub("paused"))
    live = ray_cluster.serves(resource.key)

    assert names(ray_cluster.write(Delete(live, DELETE))) == [""]
    assert resource.key not in ray_cluster.read().resources
    assert names(ray_cluster.write(Delete(live, DELETE))) == [""]

    ray_cluster.create(stub("paused"))
    ray_cluster.serves(resource.key)


def test_a_look_tells_of_a_change_made_by_others(ray_cluster: RayCluster) -> None:
    (resource,) = ray_cluster.create(stub("looked-at"))
    before = ray_cluster.serves(resource.key)
    target = ray_cluster.open()
    seen = threading.Event()

    def look() -> None:
        for _ in target.changed():
            seen.set()

    looker = threading.Thread(target=look)
    looker.start()
    time.sleep(0.3)  # the first look is what later ones are compared with; there is nothing to wait for
    os.kill(number(ray_cluster.ask(before), "pid"), signal.SIGKILL)
    assert seen.wait(10)
    target.close()
    looker.join(5)
    assert not looker.is_alive()


def test_a_real_model_answers(ray_cluster: RayCluster) -> None:
    command = ("{python}", "-m", "reconciler.nodes.llama_server", "-m", "{models}/smollm2-135m-instruct/*.gguf", "--host", "{host}")
    command = (*command, "--port", "{port}", "-a", "smollm2", "-c", "2048", "--metrics")
    (resource,) = ray_cluster.create(stub("chat", command=command))
    live = ray_cluster.serves(resource.key)
    question = {
        "model": "smollm2",
        "max_tokens": 16,
        "temperature": 0,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
    }
    url = f"http://{live.addresses[0]}/team-a/chat/v1/chat/completions"

    request = urllib.request.Request(url, json.dumps(question).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as raw:
        answer = json.loads(raw.read())

    assert answer["model"] == "smollm2"
    assert answer["usage"]["completion_tokens"] > 3
    assert answer["choices"][0]["message"]["content"].strip()


def test_a_model_file_that_is_not_there_is_known_before_anything_is_written(ray_cluster: RayCluster) -> None:
    wanted = ray_cluster.resource(stub("typo", command=("{python}", "-m", "x", "-m", "{models}/smollm2-135m-instruct/SmolLM.gguf")))

    (problem,) = ray_cluster.read(wanted).problems

    assert problem.owner == "Endpoint/team-a/typo"
    assert "SmolLM2-135M-Instruct.Q4_1.gguf" in problem.todo


@pytest.mark.parametrize("role", ["gcs", "dashboard"])
def test_a_lost_head_process_is_put_back_and_serving_goes_on(ray_cluster: RayCluster, role: str) -> None:
    name = f"steady-{role}"
    (resource,) = ray_cluster.create(stub(name))
    with Load(ray_cluster, name) as load_:
        (pid,) = load_.pids or {number(ray_cluster.ask(ray_cluster.serves(resource.key)), "pid")}
        before = record_of(ray_cluster).parts[role].proc

        os.kill(before.pid, signal.SIGKILL)
        until(lambda: not is_running(before.pid))
        ray.watch_once(ray_cluster.folder)
        until(lambda: reads(ray_cluster), 30)
        ray_cluster.update(stub(name, health_timeout=6.0))

    assert record_of(ray_cluster).parts[role].proc != before
    assert load_.lost == []
    assert load_.pids == {pid}


def reads(cluster: RayCluster) -> bool:
    with contextlib.closing(cluster.open()) as target:
        return reads_at(target)


def reads_at(target: LocalRayTarget) -> bool:
    try:
        target.read({})
    except TargetError:
        return False
    return True


def test_a_lost_node_comes_back_with_its_applications(ray_cluster: RayCluster) -> None:
    others = [Delete(live, DELETE) for live in ray_cluster.read().resources.values()]
    assert set(names(ray_cluster.write(*others))) <= {""}  # what comes back then is soon counted
    (resource,) = ray_cluster.create(stub("restored"))
    engine = number(ray_cluster.ask(ray_cluster.serves(resource.key)), "pid")
    raylet = record_of(ray_cluster).parts["raylet"].proc

    os.kill(raylet.pid, signal.SIGKILL)
    until(lambda: not is_running(raylet.pid))
    ray.watch_once(ray_cluster.folder)

    until(lambda: (ray.watch_once(ray_cluster.folder), record_of(ray_cluster).state)[1] == "running", 60)
    assert not is_running(engine)
    until(lambda: reads(ray_cluster), 30)
    ray_cluster.serves(resource.key)


def test_a_pass_that_may_not_wait_goes_on_without_a_ray_that_starts_and_is_called_when_it_answers(ray_cluster: RayCluster) -> None:
    raylet = record_of(ray_cluster).parts["raylet"].proc
    os.kill(raylet.pid, signal.SIGKILL)
    until(lambda: not is_running(raylet.pid))
    heard = threading.Event()

    with contextlib.closing(ray_cluster.open(patient=False)) as target:

        def listen() -> None:
            for _ in target.changed():
                heard.set()

        with pytest.raises(TargetUnavailable, match="the local Ray is starting"):
            target.read({})
        assert record_of(ray_cluster).state == "starting"
        listener = threading.Thread(target=listen)
        listener.start()
        try:
            until(lambda: (ray.watch_once(ray_cluster.folder), heard.is_set())[1], 90)
            until(lambda: reads_at(target), 30)
        finally:
            target.close()
            listener.join(5)
    assert record_of(ray_cluster).state == "running"


def test_stop_leaves_nothing(ray_cluster: RayCluster) -> None:
    temp = record_of(ray_cluster).place.temp
    assert pids_with(temp)

    ray.stop(ray_cluster.folder)

    assert pids_with(temp) == []
    assert pids_with(str(Path(__file__).with_name("stub_engine.py"))) == []
    assert not Path(temp).exists()
    (program,) = ray.status(ray_cluster.folder)
    assert program.state == "not running"
    assert local.LocalProgram is type(program)
