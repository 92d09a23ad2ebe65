"""The eight steps. Each is one line on the screen, and every claim in it is checked."""

import re
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools import models
from tools.demo import DemoFailed, repo
from tools.demo.screen import Screen
from tools.demo.stage import Stage, Status, stage
from tools.demo.traffic import Caller, Gateway, Steadily, status_of

LIMIT_MB: Final = 3000
LOAD_THREADS: Final = 3
AFTERMATH: Final = 2.0  # seconds that a load goes on after the change has settled
DRAIN: Final = 5.0  # seconds: drainSeconds of examples/repo/clusters/local.yaml
OUTAGE: Final = 3.0  # seconds that the reconciler stays dead
ACKNOWLEDGE: Final = re.compile(r"Reconciler-Ack: (sha256:[0-9a-f]{64})")


@dataclass(slots=True)
class Play:
    """What the steps share: the stage, and somebody with a key."""

    stage: Stage
    gateway: Gateway
    caller: Caller
    chat: Path
    embeddings: Path
    port: int


def check(holds: bool, claim: str, shown: object = "") -> None:
    if not holds:
        raise DemoFailed(f"{claim}: it is not so. {shown}")


def both_ready(now: dict[str, Status]) -> bool:
    return len(now) == 2 and all(item["status"] == "Ready" and item["routed"] for item in now.values())


def word_is(name: str, word: str) -> Callable[[dict[str, Status]], bool]:
    return lambda now: name in now and now[name]["status"] == word


def ready_with(name: str, replicas: int) -> Callable[[dict[str, Status]], bool]:
    return lambda now: name in now and (now[name]["status"], now[name]["ready"]) == ("Ready", replicas) and bool(now[name]["routed"])


def replica_names(now: dict[str, Status]) -> set[str]:
    return {replica["name"] for item in now.values() for replica in item["replicas"]}


def said(text: str, words: Iterable[str]) -> list[str]:
    """Lines of an output that contain one of the words, stripped."""
    return [line.strip() for line in text.splitlines() if any(word in line for word in words)]


def create_key(on: Stage, workspace: str, owner: str, *endpoints: str) -> str:
    """`reconciler keys create`: the declaration goes into the repo, the key is printed once."""
    only = ("--endpoints", ",".join(endpoints)) if endpoints else ()
    file = on.config / "workspaces" / workspace / "keys" / f"{owner}.yaml"
    file.parent.mkdir(exist_ok=True)
    words = ("--workspace", workspace, *only, "--owner", f"{owner}@example.com", "--write", str(file))
    found = re.search(r"rcl_\w+", on.reconciler("keys", "create", *words).out)
    check(found is not None, "`keys create` prints the key")
    assert found is not None
    check(found.group() not in file.read_text(), "only the hash of the key stands in the repo")
    return found.group()


def prepare(on: Stage, screen: Screen) -> tuple[Play, Caller]:
    with screen.step(1, "a config repo from examples/repo/: two endpoints and one key, models and engine from packages") as notes:
        repo.create(on)
        port = repo.choose_port(on.config)
        chat, embeddings = (repo.find(on.config, "Endpoint", name) for name in ("chat", "embeddings"))
        key, other = create_key(on, chat.workspace, "ci"), create_key(on, chat.workspace, "search", "embeddings")
        models.into(on.state / "models")
        on.reconciler("validate", str(on.config))
        on.commit("Two endpoints, and keys for those who ask them")
        notes.append("validate: everything in it is sound; no secret in it, keys stand there as hashes")
    gateway = Gateway(port, chat.workspace)
    return Play(on, gateway, Caller.of(gateway, key), chat.path, embeddings.path, port), Caller.of(gateway, other)


def come_up(play: Play, screen: Screen) -> None:
    with screen.step(2, "`reconciler run`: local Ray and Envoy come up, both endpoints get Ready") as notes:
        play.stage.start_daemon()
        play.stage.wait("waiting for both to be Ready", both_ready, 180)
        notes.append(f"{play.gateway.url} answers for {play.gateway.model('chat')} and {play.gateway.model('embeddings')}")


def ask(play: Play, other: Caller, screen: Screen) -> None:
    with screen.step(
        3, "a completion, a streamed one and an embedding by the OpenAI client; 401 without a key, 403 for another's"
    ) as notes:
        answer = play.caller.chat()
        streamed, pieces = play.caller.streamed()
        check("Paris" in answer, "the model answers the question", answer)
        check(pieces > 1, "a stream comes in pieces", f"{pieces} piece: {streamed}")
        size = play.caller.embed()
        stranger = Caller.of(play.gateway, "none")
        check(status_of(stranger.chat) == 401, "without a good key the answer is 401", status_of(stranger.chat))
        check(status_of(other.chat) == 403, "a key for embeddings does not open chat (403)", status_of(other.chat))
        check(status_of(other.embed) == 200, "a key for embeddings opens embeddings")
        notes.append(f"chat: {answer}")
        notes.append(f"streamed in {pieces} pieces; an embedding of {size} numbers; 401 and 403 as they should be")


def scale(play: Play, screen: Screen) -> None:
    with screen.step(4, "commit replicas 1 -> 2: the plan, the apply; a load that runs meanwhile loses no request") as notes:
        with Steadily("chat under load", lambda: play.caller.chat(8), LOAD_THREADS, 0.0) as load:
            time.sleep(1.0)
            repo.set_field(play.chat, "replicas", 2)
            planned = play.stage.plan_of("more-replicas", "chat: two replicas")
            play.stage.wait("waiting for the second replica", ready_with("chat", 2))
            play.stage.settle("waiting for the plan to be empty")
            time.sleep(AFTERMATH)
        shown = said(planned.out, ("replicas",))
        check(bool(shown), "the plan shows the change of replicas", planned.out)
        notes.extend(shown[:2])
        notes.append(f"{load.answered()} completions meanwhile, none lost")
        memory = play.stage.megabytes()
        check(memory < LIMIT_MB, f"it takes less than {LIMIT_MB} MB of memory", f"{memory:.0f} MB")
        notes.append(f"{memory:.0f} MB of memory in all")


def break_one(play: Play, screen: Screen) -> None:
    with screen.step(5, "commit a broken chat.yaml and a good change to embeddings: chat keeps answering, embeddings changes") as notes:
        good = play.chat.read_text()
        with Steadily("chat while its file is broken", lambda: play.caller.chat(4)) as chat:
            play.chat.write_text(good.replace("\nspec:", "\nspec: [", 1))
            repo.set_field(play.embeddings, "replicas", 2)
            play.stage.commit("embeddings: two replicas; chat: a typing mistake")
            play.stage.wait("waiting for embeddings to change", ready_with("embeddings", 2))
            planned = play.stage.plan(codes=(1,))
            where = said(planned.out + planned.err, (f"{play.chat.name}:",))
            check(bool(where), "the plan names the broken file and line", planned.out + planned.err)
            time.sleep(AFTERMATH)
            play.chat.write_text(good)
            play.stage.commit("chat: the typing mistake corrected")
            play.stage.settle("waiting for the plan to be empty")
        notes.append(where[0])
        notes.append(f"{chat.answered()} completions meanwhile, none lost; corrected, the plan is empty again")


def die_and_return(play: Play, screen: Screen) -> None:
    with screen.step(6, "the reconciler killed with SIGKILL: both keep answering; started again: no changes") as notes:
        before = replica_names(play.stage.statuses())
        with Steadily("chat", lambda: play.caller.chat(4)) as chat, Steadily("embeddings", play.caller.embed) as embeddings:
            play.stage.kill_daemon(signal.SIGKILL)
            time.sleep(OUTAGE)
            play.stage.start_daemon()
            now = play.stage.wait("waiting for it to adopt what runs", both_ready)
            planned = play.stage.settle("waiting for the plan to be empty")
        check(replica_names(now) == before, "the same replicas serve", f"{before} became {replica_names(now)}")
        notes.append(f"{chat.answered()} completions and {embeddings.answered()} embeddings meanwhile, none lost; the same replicas")
        notes.extend(said(planned.out, ("o changes",))[:1])


def pause_and_delete(play: Play, screen: Screen) -> None:
    title = "commit pause, resume, delete of chat: route first, drain, then the application; embeddings never stops"
    with screen.step(7, title) as notes, Steadily("embeddings", play.caller.embed) as embeddings:
        repo.set_field(play.chat, "paused", "true")
        play.stage.commit("chat: paused")
        play.stage.wait("waiting for chat to be Paused", word_is("chat", "Paused"))
        paused = status_of(play.caller.chat)
        check(paused == 503, "a paused endpoint answers 503", paused)
        play.stage.settle("waiting for the replicas to go")

        repo.drop_field(play.chat, "paused")
        play.stage.commit("chat: resumed")
        play.stage.wait("waiting for chat to be Ready again", ready_with("chat", 2))
        play.caller.chat()

        play.chat.unlink()
        asked = time.monotonic()
        play.stage.commit("chat: no longer needed")
        begin = time.monotonic()
        route_gone = until(lambda: status_of(play.caller.chat) in (403, 404), "the route of chat goes", play, begin)
        still = "chat" in play.stage.statuses()
        in_time = time.monotonic() - asked < DRAIN  # on a machine that is too slow to look within the drain there is nothing to see
        check(still or not in_time, "the application outlives its route")
        play.stage.wait("waiting for the drain and the application to go", lambda now: "chat" not in now)
        app_gone = time.monotonic() - begin
        play.stage.settle("waiting for the plan to be empty")
        notes.append(f"deleted: the route after {route_gone:.1f} s, the application after {app_gone:.1f} s")
        notes.append(f"{embeddings.answered()} embeddings meanwhile, none lost")


def until(reached: Callable[[], bool], what: str, play: Play, begin: float, seconds: float = 60.0) -> float:
    """Seconds since `begin` at which it was reached. Raises DemoFailed."""
    while not reached():
        if time.monotonic() - begin > seconds:
            raise DemoFailed(f"{what}: not within {seconds:.0f} s")
        play.stage.screen.progress(what)
        time.sleep(0.1)
    return time.monotonic() - begin


def remove_everything(play: Play, screen: Screen) -> None:
    with screen.step(8, "a commit that removes everything: held; with the trailer: done, over as many passes as the drains take") as notes:
        with Steadily("embeddings", play.caller.embed) as embeddings:
            play.stage.git("rm", "-r", "--quiet", ".")
            play.stage.commit("Nothing at all")
            time.sleep(AFTERMATH)
            planned = play.stage.plan(codes=(3,))
        digest = ACKNOWLEDGE.search(planned.out)
        check(digest is not None, "the plan names the digest to acknowledge", planned.out)
        assert digest is not None
        notes.extend(said(planned.out, ("Reconciler-Ack",))[:1])
        notes.append(f"{embeddings.answered()} embeddings while it was held, none lost")

        play.stage.commit("Yes, nothing at all", digest.group())
        play.stage.settle("waiting for the drains", 120)
        gone = status_of(play.caller.embed)
        check(gone in (0, 401, 403, 404), "nothing answers any more", gone)


def play(screen: Screen, stay: bool) -> None:
    """The whole demo. Raises DemoFailed with the claim that does not hold; what was started is gone afterwards in any case."""
    with stage(screen) as on:
        screen.line(f"everything is below {on.folder}\n")
        here, other = prepare(on, screen)
        come_up(here, screen)
        ask(here, other, screen)
        scale(here, screen)
        break_one(here, screen)
        die_and_return(here, screen)
        if stay:
            keep_up(here, screen)
            return
        pause_and_delete(here, screen)
        remove_everything(here, screen)


def keep_up(here: Play, screen: Screen) -> None:
    """Steps 7 and 8 would take it all down: show how to use it instead, and wait for Ctrl-C."""
    model = here.gateway.model("chat")
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
    screen.line(f"\nIt stays up; Ctrl-C ends and removes it.\n\n  URL     {here.gateway.url}\n  key     {here.caller.key}")
    screen.line(f"  repo    {here.stage.config} (commit to {here.stage.config}, it is applied within 30 s)")
    screen.line(f"  log     {here.stage.log}\n")
    screen.line(f"  curl {here.gateway.url}/chat/completions -H 'Authorization: Bearer {here.caller.key}' \\")
    screen.line(f"       -H 'Content-Type: application/json' -d '{body}'\n")
    try:
        signal.pause()
    except KeyboardInterrupt:
        screen.line("")
