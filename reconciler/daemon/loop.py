"""The loop: wait for a reason, fetch when it is time, pass, tell, publish. A pass that raises never ends it.

SIGTERM and SIGINT end it between two writes: the locks say that they are not held any more, so no write batch begins. A step that takes
longer than that (a program that is being started) is left after a few seconds: everything is safe to be killed at any moment. SIGHUP
triggers a pass.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol, cast

from reconciler.daemon.bell import Bell, Trigger, Turn
from reconciler.daemon.control import LOCK, problem_json
from reconciler.daemon.crash import crashed
from reconciler.daemon.listener import Listener
from reconciler.daemon.log import logger
from reconciler.daemon.news import News
from reconciler.daemon.timing import Found, Schedule, Timing
from reconciler.daemon.watch import Keeper, Watchers
from reconciler.errors import Problem, ReconcilerError
from reconciler.given import Given
from reconciler.reconcile import reconcile
from reconciler.report.model import Report
from reconciler.resource import Json
from reconciler.state.folder import StateFolder
from reconciler.state.lock import Lock

PATIENCE: Final = 3.0  # seconds after SIGTERM in which a pass may come to its own end
ENDED: Final = Problem("D3", "the daemon is ending", todo="start it again with `reconciler run`")


class Abandoned(BaseException):
    """A pass that did not end in time after SIGTERM."""


class Publisher(Protocol):
    """Where statuses go after a pass. Must return at once and raise nothing."""

    def offer(self, report: Report) -> None: ...


@dataclass(frozen=True, slots=True)
class Work:
    """What the loop does: given for the passes, fetch for the repository, look for the local programs."""

    given: Given
    fetch: Callable[[], None]
    look: Callable[[], None]
    publisher: Publisher | None = None


class Daemon:
    """One daemon per state folder."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.bell = Bell(clock)
        self._folder, self._clock = folder, clock
        self._since = time.time()
        self._last: Report | None = None
        self._log = logger()
        self._news = News(self._log)

    @classmethod
    @contextmanager
    def held(cls, folder: Path, signals: bool = True) -> Iterator["Daemon"]:
        """The right to run on this state folder, with the socket open from the beginning. Raises Busy with who has it."""
        StateFolder(folder).make()
        lock = Lock.take(folder / LOCK, "this state folder", "run")
        try:
            daemon = cls(folder)
            listener = Listener(folder, daemon.answer)
            try:
                with daemon._signals() if signals else nullcontext():
                    yield daemon
            finally:
                daemon._refuse_the_rest()
                listener.close()
        finally:
            lock.release()

    def still(self) -> bool:
        """False once the daemon is to end: no write batch begins any more."""
        return not self.bell.stopping

    def run(self, work: Work, timing: Timing) -> int:
        """Until SIGTERM. The exit code: 0, because being told to end is no error."""
        self._log.info("daemon_started", pid=os.getpid(), state=str(self._folder), interval=timing.interval)
        with suppress(ReconcilerError):  # a record that cannot be read is said by the first pass
            self._news.remember(work.given.state.load().statuses)
        schedule = Schedule(timing, random.random)
        watchers = Watchers(self.bell.hint, self._log)
        keeper = Keeper(work.look, timing.keep, self._log)
        try:
            while (turn := self.bell.wait(schedule.due_at, schedule.hints_at)) is not None:
                self._turn(work, schedule, turn)
                watchers.follow(work.given.places.targets())
        except Abandoned:
            self._log.warning("pass_abandoned", after=PATIENCE)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            watchers.follow({})
            keeper.close()
        self._log.info("daemon_stopped")
        return 0

    def _turn(self, work: Work, schedule: Schedule, turn: Turn) -> None:
        unfetched = None
        hinted = bool(turn.hints) and not turn.triggers and not turn.due
        try:
            if turn.triggers or self._clock() >= schedule.fetch_at:
                unfetched = self._fetch(work, schedule)
            report, problem = self._pass(work)
            found = self._found(report)
            if report is not None and unfetched is not None:
                report = replace(report, problems=(*report.problems, unfetched))
            schedule.passed(self._clock(), found, hinted)
            self._reply(turn, report, problem)
        finally:
            for trigger in turn.triggers:
                if not trigger.done.is_set():
                    trigger.reply(problem_json(ENDED))
        if report is not None and work.publisher is not None:
            work.publisher.offer(report)

    def _fetch(self, work: Work, schedule: Schedule) -> Problem | None:
        """An unreachable repository is reported, and the commit that is known goes on being kept."""
        try:
            work.fetch()
        except Exception as error:
            problem = self._problem(error, "fetch")
            self._log.error("fetch_failed", problem=problem.text())
            schedule.fetched(self._clock(), good=False)
            return problem
        schedule.fetched(self._clock(), good=True)
        return None

    def _pass(self, work: Work) -> tuple[Report | None, Problem | None]:
        begin = self._clock()
        try:
            report = reconcile(work.given)
        except Exception as error:
            problem = self._problem(error, "pass")
            self._log.error("pass_failed", problem=problem.text())
            return None, problem
        self._fresh = self._news.tell(report, self._clock() - begin)
        self._last = report
        return report, None

    _fresh = False

    def _found(self, report: Report | None) -> Found:
        if report is None:
            return Found.TROUBLE
        failed = any(not outcome.applied for outcome in report.outcomes or ())
        if failed or report.plan.unreadable:
            return Found.TROUBLE_AND_WAITING if report.waiting else Found.TROUBLE
        if report.waiting or report.outcomes:  # what was written shows in the statuses of the next pass
            return Found.WAITING
        return Found.CHANGED if self._fresh else Found.NOTHING

    def _problem(self, error: Exception, what: str) -> Problem:
        return error.problem if isinstance(error, ReconcilerError) else crashed(error, f"run: {what}", self._folder)

    def _reply(self, turn: Turn, report: Report | None, problem: Problem | None) -> None:
        for trigger in turn.triggers:
            trigger.reply(_report_json(report, trigger.colour) if report is not None else problem_json(problem or ENDED))

    def answer(self, question: Mapping[str, Json]) -> Mapping[str, Json]:
        """What the socket's callers get; from their own threads."""
        match question.get("op"):
            case "status":
                return {"pid": os.getpid(), "since": self._since, "passAt": self._last.at if self._last else None}
            case "trigger":
                return self._triggered(question)
        return problem_json(Problem("D4", f"unknown question: {question.get('op')}", todo="use the `reconciler` of the same version"))

    def _triggered(self, question: Mapping[str, Json]) -> Mapping[str, Json]:
        trigger = Trigger(colour=question.get("colour") is True)
        self._log.info("pass_triggered")
        self.bell.trigger(trigger)
        if question.get("wait") is False:
            return {"exitCode": 0}
        while not trigger.done.wait(0.5):
            if self.bell.stopping and not trigger.done.wait(PATIENCE + 1):
                return problem_json(ENDED)
        return trigger.answer

    def _refuse_the_rest(self) -> None:
        self.bell.stop()
        for trigger in self.bell.left():
            trigger.reply(problem_json(ENDED))

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def end(_number: int, _frame: object) -> None:
            if self.bell.stopping:
                raise Abandoned
            self.bell.stop()
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)

        def abandon(_number: int, _frame: object) -> None:
            raise Abandoned

        def again(_number: int, _frame: object) -> None:
            self.bell.trigger(Trigger())

        handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGALRM: abandon, signal.SIGHUP: again}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)


def _report_json(report: Report, colour: bool) -> Mapping[str, Json]:
    from reconciler.report.json_form import plan_form
    from reconciler.report.text import plan_as_text

    return {"exitCode": report.exit_code, "text": plan_as_text(report, colour), "plan": cast(Json, plan_form(report))}
