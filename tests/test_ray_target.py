"""A Ray cluster as it is opened: settings, token, a local one that `plan` does not start, what is known to go wrong beforehand."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from serve_answers import Dashboard, answer, application, dashboard, deployment, replica
from test_ray_render import CHAT

from reconciler.desired import TargetSpec
from reconciler.errors import CompileError, TargetRefused, TargetUnavailable
from reconciler.resource import Resource
from reconciler.targets.protocol import Claim, Context
from reconciler.targets.ray.problems import local_problems
from reconciler.targets.ray.render import render_workload
from reconciler.targets.ray.settings import settings_of
from reconciler.targets.ray.target import RayTarget, open_target
from reconciler.targets.rendering import SecretEnv

pytestmark = pytest.mark.slow  # looks that take their second

LOCAL = TargetSpec("lab", "ray", {"local": True}, source="lab.yaml:1")


@pytest.fixture
def board() -> Iterator[Dashboard]:
    with dashboard() as running:
        yield running


def opened(spec: TargetSpec, folder: Path, write: bool = True) -> RayTarget:
    return open_target(spec, Context(folder, Claim("default", "root"), write, lambda: 0.0))


def given(board: Dashboard, **settings: object) -> TargetSpec:
    return TargetSpec("lab", "ray", {"local": False, "dashboardUrl": board.address, **settings}, source="lab.yaml:1")  # type: ignore[dict-item]


@pytest.mark.parametrize("settings", [{}, {"local": True, "dashboardUrl": "http://head:8265"}, {"local": "yes"}])
def test_settings_say_exactly_where(settings: dict[str, bool | str]) -> None:
    with pytest.raises(CompileError, match="exactly one of"):
        settings_of(TargetSpec("lab", "ray", settings))


def test_the_token_of_a_given_address_comes_from_our_own_store(board: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board.applications = answer()
    spec = given(board, tokenRef={"name": "ray-token", "key": "token"})

    with contextlib.closing(opened(spec, tmp_path)) as target, pytest.raises(TargetRefused, match="RECONCILER_SECRET_RAY_TOKEN_TOKEN"):
        target.read({})
    monkeypatch.setenv("RECONCILER_SECRETS", str(tmp_path))
    (tmp_path / "ray-token").mkdir()
    (tmp_path / "ray-token" / "token").write_text("from-a-file\n")
    with contextlib.closing(opened(spec, tmp_path)) as target:
        target.read({})
        (tmp_path / "ray-token" / "token").write_text("renewed\n")
        target.read({})
    monkeypatch.setenv("RECONCILER_SECRET_RAY_TOKEN_TOKEN", "from-the-environment")
    with contextlib.closing(opened(spec, tmp_path)) as target:
        target.read({})

    seen = [headers["Authorization"] for headers in board.headers]
    assert seen == ["Bearer from-a-file", "Bearer renewed", "Bearer from-the-environment"]


def test_plan_starts_nothing_and_sees_an_empty_cluster(tmp_path: Path) -> None:
    with contextlib.closing(opened(LOCAL, tmp_path, write=False)) as target:
        observation = target.read({})

    assert observation.resources == {}
    assert "not started" in observation.notes[0]
    assert list(tmp_path.iterdir()) == []


def test_a_local_ray_that_should_run_and_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    from test_ray_local import record

    from reconciler.local import ray
    from reconciler.local.ray_record import save

    home = ray.home_of(tmp_path, "lab")
    home.folder.mkdir(parents=True)
    save(home.record, record())

    with contextlib.closing(opened(LOCAL, tmp_path, write=False)) as target, pytest.raises(TargetUnavailable, match="RAY1"):
        target.read({})


def test_a_look_tells_of_new_states_of_failures_and_of_recovery(board: Dashboard, tmp_path: Path) -> None:
    config = {"name": "team-a_chat", "import_path": "a:b"}
    board.applications = answer(application(config, "DEPLOYING", engine=deployment(replica("a", "STARTING"))))
    said = threading.Semaphore(0)
    target = opened(given(board), tmp_path)

    def look() -> None:
        for _ in target.changed():
            said.release()

    looker = threading.Thread(target=look)
    looker.start()
    try:
        while not board.headers:
            pass
        board.applications = answer(application(config, "RUNNING", engine=deployment(replica("a"))))
        assert said.acquire(timeout=5)
        board.applications = (503, "GCS may be down")
        assert said.acquire(timeout=5)
        board.applications = answer(application(config, "RUNNING", engine=deployment(replica("a"))))
        assert said.acquire(timeout=5)
        assert not said.acquire(blocking=False)
    finally:
        target.close()
        looker.join(5)
    assert not looker.is_alive()


def wanted(*command: str, **fields: object) -> Resource:
    spec = TargetSpec("lab", "ray", {"local": True, "secretsDirectory": str(fields.pop("secrets_directory", "/run/secrets"))})
    return render_workload(replace(CHAT, command=command, **fields), spec).resources[0]  # type: ignore[arg-type]


def test_what_is_missing_on_this_box_is_known_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "smollm2").mkdir()
    (tmp_path / "smollm2" / "SmolLM2.Q4_1.gguf").touch()
    (tmp_path / "smollm2" / "SmolLM2.Q8_0.gguf").touch()
    cases = {
        ("{python}", "-m", "server", "-m", "{models}/smollm2/SmolLM2.Q4_1.gguf"): [],
        ("{python}", "-m", "server", "-m", "{models}/smollm2/*Q8*"): [],
        ("{python}", "-m", "server", "-m", "{models}/smollm2/*.gguf"): ["E7"],
        ("{python}", "-m", "server", "-m", "{models}/smolm2/SmolLM2.Q4_1.gguf"): ["E34"],
        ("{python}", "-m", "server", "-m", str(tmp_path / "missing.gguf")): ["E34"],
        ("no-such-engine", "serve"): ["RAY10"],
    }

    for command, codes in cases.items():
        problems = local_problems([wanted(*command)], tmp_path, "/usr/bin:/bin")
        assert [problem.code for problem in problems] == codes, command
        assert all(problem.owner == "Endpoint/team-a/chat" and problem.todo and problem.where for problem in problems)


def test_the_nearest_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "smollm2").mkdir()
    (tmp_path / "smollm2" / "SmolLM2.Q4_1.gguf").touch()

    (problem,) = local_problems([wanted("{python}", "-m", "{models}/smollm2/SmolLM2.Q4.gguf")], tmp_path, "")
    (nothing,) = local_problems([wanted("{python}", "-m", "{models}/x.gguf")], tmp_path / "empty", "")

    assert "candidates: smollm2/SmolLM2.Q4_1.gguf" in problem.todo
    assert "is empty" in nothing.todo


def test_a_secret_that_is_not_there_is_known_too(tmp_path: Path) -> None:
    resource = wanted("{python}", secrets=(SecretEnv("HF_TOKEN", "hf", "token"),), secrets_directory=tmp_path)

    (problem,) = local_problems([resource], tmp_path, "")
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("x")

    assert problem.code == "E32"
    assert local_problems([resource], tmp_path, "") == ()
