"""One request until there is an answer: through the gate, with the credentials of the moment, again where a repeat is right.

What may be repeated follows from the verb (Kubernetes' own clients do the same):

    GET, server-side apply, merge patch    sent again when nobody answered, after 429 and after 5xx
    DELETE, JSON patch                     again only when it was certainly not done: not sent, or 429
    401                                    once more, if there are other credentials by then

Everything else (400, 403, 404, 409, 422, the 500 of a manifest that fits no schema) will be the same the next time, and is raised at once.
"""

import threading

from reconciler.targets.kubernetes.api import failures
from reconciler.targets.kubernetes.api.connections import JSON, NoAnswer, Pool, Reply, Request, Server
from reconciler.targets.kubernetes.api.credentials import Credentials
from reconciler.targets.kubernetes.api.failures import KubeRefused, KubeUnavailable
from reconciler.targets.kubernetes.api.pacing import USUAL_RETRY_AFTER, Gate, Limits, Pacing, dice, wait_before
from reconciler.targets.kubernetes.api.refusal import Refusal, cut, refusal


class Sender:
    """For many threads. where: for messages."""

    def __init__(self, server: Server, credentials: Credentials, limits: Limits, where: str, pacing: Pacing) -> None:
        self._credentials, self._limits, self._where, self._pacing = credentials, limits, where, pacing
        self._pool = Pool(server, pacing.clock)
        self._gate = Gate(limits.width, pacing.clock)
        self._closing = threading.Event()
        self._sleep = pacing.sleep or self._closing.wait

    @property
    def sent(self) -> int:
        return self._pool.sent

    @property
    def width(self) -> int:
        return self._gate.width

    def call(self, request: Request, budget: float = 0.0) -> Reply:
        """The answer, when it is 2xx. budget: seconds for all attempts and waits together. Raises KubeUnavailable, KubeRefused."""
        deadline = self._pacing.clock() + (budget or self._limits.budget)
        attempt = 1
        while True:
            outcome = self._attempt(request, deadline)
            if isinstance(outcome, Reply):
                return outcome
            error, wait = outcome
            attempt += 1
            if wait is None or attempt > self._limits.attempts:
                raise error
            self._pause(wait_before(attempt, wait, self._pacing.random or dice), deadline, error)

    def close(self) -> None:
        self._closing.set()
        self._pool.close()

    def _attempt(self, request: Request, deadline: float) -> "Reply | tuple[KubeRefused | KubeUnavailable, float | None]":
        """An answer; or the error, and what the server asks us to wait before a repeat (0: it does not say; None: no repeat)."""
        try:
            reply = self._with_credentials(request, deadline)
        except NoAnswer as lost:
            return self._lost(request, lost)
        if reply.status < 300:
            self._gate.went_well()
            return self._checked(request, reply)
        return self._refused(request, refusal(reply.status, reply.body, reply.retry_after))

    def _with_credentials(self, request: Request, deadline: float) -> Reply:
        login = self._credentials.current()
        with self._gate:
            reply = self._pool.exchange(request, login, deadline)
        if reply.status == 401 and self._credentials.renew(login):
            with self._gate:
                reply = self._pool.exchange(request, self._credentials.current(), deadline)
        return reply

    def _lost(self, request: Request, lost: NoAnswer) -> "tuple[KubeRefused | KubeUnavailable, float | None]":
        error = failures.no_answer(lost.cause, request.asked, self._where)
        if isinstance(error, KubeRefused):
            return error, None
        error.unknown = lost.sent and request.method != "GET"
        return error, 0.0 if request.repeat or not lost.sent else None

    def _refused(self, request: Request, found: Refusal) -> "tuple[KubeRefused | KubeUnavailable, float | None]":
        error = failures.error_of(found, request.asked, self._where)
        if error.problem.code == failures.THROTTLED:
            self._gate.narrow()
            return error, found.retry_after or USUAL_RETRY_AFTER
        if error.problem.code != failures.TROUBLE or isinstance(error, KubeRefused):
            return error, None
        error.unknown = request.method != "GET"
        return error, found.retry_after if request.repeat else None

    def _checked(self, request: Request, reply: Reply) -> Reply:
        """A web page that says 200 is no answer of Kubernetes."""
        if request.accept.startswith(JSON) and reply.content != JSON:
            why = f"{request.asked} answers {cut(reply.content)} instead of JSON"
            raise failures.refused(failures.NOT_KUBERNETES, why, "", self._where)
        return reply

    def _pause(self, wait: float, deadline: float, error: KubeRefused | KubeUnavailable) -> None:
        """Raises the error when there is no time for it, or no reason any more."""
        if self._pacing.clock() + wait >= deadline:
            raise error
        self._sleep(wait)
        if self._closing.is_set() or self._pacing.cancelled():
            raise error
