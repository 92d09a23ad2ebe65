"""Golden plans: `tests/cases/NN-story/` is the specification of the plan, to be read. `pytest tests/test_cases.py --update` rewrites them.

A story has a repo as it was applied (`before/`; without it nothing runs yet), what happened since (`live.yaml`), the next commit
(`repo/`), and the plan of it (`plan.txt`). `_base/` stands in every repo: a team, two clusters, a gateway, an engine.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.compile import compile_declarations
from reconciler.engine_schemas import engine_schemas
from reconciler.given import Given
from reconciler.places import places
from reconciler.reconcile import reconcile
from reconciler.repo.memory import MemorySource
from reconciler.report.model import Report
from reconciler.report.text import plan_as_text
from reconciler.resource import ResourceKey
from reconciler.state.memory import MemoryState
from reconciler.state.record import Record
from reconciler.targets.memory.target import MemoryTarget
from reconciler.targets.memory.world import Stored, World

CASES = Path(__file__).parent / "cases"
EXAMPLE = Path(__file__).parents[1] / "examples" / "repo"
COMPILE = partial(compile_declarations, schemas=engine_schemas(), kinds={"ray": "memory", "envoy": "memory"})


class Story:
    """A repo, a world and a record, and passes over them."""

    def __init__(self) -> None:
        self.source, self.state, self.world = MemorySource(), MemoryState(), World()

    def one_pass(self, write: bool = True) -> Report:
        with places(self.state, "run", write=write, now=lambda: self.world.now, opener=partial(MemoryTarget, world=self.world)) as found:
            return reconcile(Given(self.source, self.state, found, COMPILE, parallel=False))

    def converge(self) -> None:
        for _ in range(20):
            report = self.one_pass()
            if not (report.plan.operations or report.plan.rebinds):
                return
            self.world.now += 10
        raise AssertionError(f"does not converge: {report.plan.held}")

    def happens(self, live: Mapping[str, Any]) -> None:
        """What is said in live.yaml, in the order of its keys here."""
        for text, fields in live.get("drift", {}).items():
            found = self.world.stored[key_of(text)]
            self.world.put(replace(found, manifest={**found.manifest, **fields}))
        for text in live.get("foreign", ()):
            self.world.put(Stored(key_of(text), {"command": ["theirs"]}, None, 0, self.world.now))
        for text in live.get("restarted", ()):
            self.world.put(replace(self.world.stored[key_of(text)], since=self.world.now))
        self.world.now += live.get("seconds", 10)
        self.world.unreadable |= set(live.get("dark", ()))
        if live.get("history") == "lost":
            self.state.record = Record()


def key_of(text: str) -> ResourceKey:
    target, _, rest = text.partition(": ")
    return ResourceKey(target, *rest.split("/"))


def files_of(*folders: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.yaml"))}
    assert found, "a repo without a file is a mistake of the story; let it hold a Workspace"
    return found


def plans_of(story: Path) -> Iterator[str]:
    told, live = Story(), yaml.safe_load((story / "live.yaml").read_text())
    shared = [] if live.get("alone") else [CASES / "_base"]
    applied = told.source.commit(files_of(*shared, story / "before"), "before") if (story / "before").is_dir() else ""
    if applied:
        told.converge()
    if live.get("rewind"):
        told.source.commit(files_of(*shared, story / "before"), "later")
        told.converge()
        told.source.rewind(applied)
    told.happens(live)
    after = EXAMPLE if live.get("example") else story / "repo"
    told.source.commit(files_of(*shared, after), "the commit")
    yield shown(told, "the commit")
    if live.get("acknowledged"):
        digest = told.one_pass(write=False).plan.digest
        told.source.commit(files_of(*shared, after), f"yes, all of them\n\nReconciler-Ack: {digest}")
        yield shown(told, "a commit with the trailer")
    for seconds in live.get("later", ()):
        told.one_pass()
        told.world.now += seconds
        yield shown(told, f"applied, {seconds} s later")


def shown(told: Story, title: str) -> str:
    report = told.one_pass(write=False)
    return f"== {title}\n{plan_as_text(report)}(exit code {report.exit_code})\n"


STORIES = sorted(path for path in CASES.iterdir() if path.name[0].isdigit())


@pytest.mark.parametrize("story", STORIES, ids=[path.name for path in STORIES])
def test_the_plan_of_a_story(story: Path, request: pytest.FixtureRequest) -> None:
    text = "\n".join(plans_of(story))
    if request.config.getoption("--update"):
        (story / "plan.txt").write_text(text)

    assert text == (story / "plan.txt").read_text()


def test_there_is_a_story_for_each_folder() -> None:
    assert len(STORIES) >= 12
    assert all({"live.yaml", "plan.txt"} <= {path.name for path in story.iterdir()} for story in STORIES)
