"""The Serve application of every endpoint: one deployment, each of whose replicas supervises one engine and passes HTTP through.

`import_path: reconciler.nodes.engine:build`, `args: {command, env, secret_files, health_path, startup_timeout_s}`. A replica is up when the
engine's health path answers 200. It ends when its engine ends: Serve sees a dead process within 0.2 s, but a failing health check only
after three periods. Bytes pass unchanged: path as it was escaped, headers without the hop-by-hop ones, streams unbuffered.
"""

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import aiohttp
from ray import serve
from yarl import URL

from reconciler.nodes.supervisor import Deadline, EngineError, EngineProcess, EngineSpec

Scope = MutableMapping[str, Any]  # ASGI's own types are open
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 64 * 1024 * 1024  # bytes; a gateway's own limit is lower
POLL = 0.05  # seconds between two looks at a starting engine
LAST_WORDS = 0.3  # seconds for answers that are under way when the engine died
PORT_ATTEMPTS = 3
HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"transfer-encoding",
    b"te",
    b"trailer",
    b"upgrade",
    b"proxy-connection",
    b"host",
    b"content-length",
}
log = logging.getLogger("ray.serve")


class TooLarge(Exception):
    pass


async def read_body(receive: Receive) -> bytes | None:
    """The whole request body; None when the client went away. Raises TooLarge above MAX_BODY."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise TooLarge
        if not message.get("more_body"):
            return b"".join(parts)


async def disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def engine_url(base: str, scope: Scope) -> URL:
    """The engine's address of a request: its path as the client escaped it, without the prefix that Serve keeps."""
    prefix = str(scope.get("root_path") or "").encode()
    path: bytes = scope.get("raw_path") or str(URL.build(path=scope["path"])).encode()
    path = path.partition(b"?")[0]
    if prefix and (path == prefix or path.startswith(prefix + b"/")):
        path = path[len(prefix) :] or b"/"
    query: bytes = scope.get("query_string") or b""
    return URL(base + (path + (b"?" + query if query else b"")).decode("latin1"), encoded=True)


async def answer_error(send: Send, status: int, kind: str, message: str) -> None:
    """An answer of our own, in OpenAI's error form."""
    body = json.dumps({"error": {"message": message, "type": kind, "code": status}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class ReverseProxy:
    """An ASGI application as an instance: a plain function would be called to build one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(serve.get_replica_context().servable_object, scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003, "reason": "not supported"})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return

    async def _http(self, replica: "EngineReplica", scope: Scope, receive: Receive, send: Send) -> None:
        await replica.ready.wait()
        try:
            body = await read_body(receive)
        except TooLarge:
            await answer_error(send, 413, "request_too_large", f"the request body is larger than {MAX_BODY} bytes")
            return
        if body is not None:
            await self._forward(replica, scope, body, receive, send)

    async def _forward(self, replica: "EngineReplica", scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        headers = [(name.decode("latin1"), value.decode("latin1")) for name, value in scope["headers"] if name.lower() not in HOP_BY_HOP]
        url = engine_url(replica.engine.base, scope)
        started = False
        try:
            async with replica.http.request(scope["method"], url, headers=headers, data=body or None, allow_redirects=False) as answer:
                await send({"type": "http.response.start", "status": answer.status, "headers": _answer_headers(answer)})
                started = True
                await _stream(answer.content.iter_any(), receive, send)
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            if started:
                raise
            await answer_error(send, 502, "engine_unavailable", f"the engine does not answer: {type(error).__name__}")


def _answer_headers(answer: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in answer.raw_headers if name.lower() not in HOP_BY_HOP or name.lower() == b"content-length"]


async def _stream(chunks: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    """Pass bytes on as they come. Returns when the client is gone: that closes the engine's connection, which ends the generation."""
    gone = asyncio.ensure_future(disconnected(receive))
    try:
        async for chunk in chunks:
            if gone.done():
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        gone.cancel()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class EngineReplica:
    """What Serve makes a replica of. Its constructor returns when the engine serves; Serve tries it three times, then gives up."""

    async def __init__(self, args: Mapping[str, object]) -> None:  # type: ignore[misc]  # Serve awaits it
        self.ready = asyncio.Event()
        self.serving = False
        self.user_config: object = None
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            auto_decompress=False,
        )
        try:
            self.engine = await self._up(EngineSpec.from_args(args))
        except BaseException:
            await self.http.close()
            raise
        self.serving = True
        self.ready.set()
        if reason := self.engine.dead():  # between the health answer and the line above
            self._engine_ended(reason)

    async def _up(self, spec: EngineSpec) -> EngineProcess:
        deadline = Deadline(spec.startup_timeout_s)
        for attempt in range(1, PORT_ATTEMPTS + 1):
            engine = await asyncio.to_thread(EngineProcess, spec, self._log, self._engine_ended)
            try:
                await self._wait_ready(engine, deadline)
                return engine
            except BaseException:
                await asyncio.to_thread(engine.stop, 2.0)
                if attempt == PORT_ATTEMPTS or not engine.port_was_taken():
                    raise
                log.warning("engine's port %s was taken by somebody else: another one", engine.port.number)
        raise AssertionError("not reached")

    def _log(self, line: str) -> None:
        log.info("[engine] %s", line)

    async def _wait_ready(self, engine: EngineProcess, deadline: Deadline) -> None:
        began, last = time.monotonic(), "no answer"
        while not deadline.over:
            if engine.dead():
                await asyncio.to_thread(engine.settle)
                raise EngineError(f"{engine.dead()} (command: {engine.argv[0]} ..., {time.monotonic() - began:.1f} s after its start)")
            with contextlib.suppress(aiohttp.ClientError, asyncio.TimeoutError):
                last = await self._health(engine, 5.0)
                if last == "200":
                    log.info("engine %s ready after %.2f s", engine.process.pid, time.monotonic() - began)
                    return
            await asyncio.sleep(POLL)
        raise EngineError(
            f"engine did not get ready: {engine.spec.health_path} did not answer 200 within {deadline.seconds:g} s "
            f"(last: {last}); last lines: {engine.last_lines()}"
        )

    async def _health(self, engine: EngineProcess, seconds: float) -> str:
        async with self.http.get(engine.base + engine.spec.health_path, timeout=aiohttp.ClientTimeout(total=seconds)) as answer:
            return str(answer.status)

    def _engine_ended(self, reason: str) -> None:
        """In a thread of the supervisor. A replica whose engine is dead has nothing left to do."""
        if not self.serving:
            return
        log.error("%s", reason)
        time.sleep(LAST_WORDS)
        os._exit(1)

    def reconfigure(self, user_config: object) -> None:
        self.user_config = user_config  # the mark: changes in place, never restarts anything

    async def check_health(self) -> None:
        if reason := self.engine.dead():
            raise EngineError(reason)
        status = await self._health(self.engine, 20.0)
        if int(status) >= 500:
            raise EngineError(f"{self.engine.spec.health_path} answers {status}: {self.engine.last_lines()}")

    def __del__(self) -> None:
        engine: EngineProcess | None = getattr(self, "engine", None)
        if engine is not None:
            engine.stop()


Engine = serve.deployment(name="Engine")(serve.ingress(ReverseProxy())(EngineReplica))


def build(args: dict[str, object]) -> Any:  # serve.Application; ray has no types that mypy may follow
    return Engine.bind(args)
