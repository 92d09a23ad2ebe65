"""Fake OpenAI replicas: a real HTTP server each, in one thread, that remembers what it was asked.

What a request shall meet is said in its own headers: `x-test-status: 503`, `x-test-delay: 0.5`, `x-test-chunks: 20` (a stream of so many
events, one each 20 ms).
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def model(self) -> object:
        return json.loads(self.body)["model"]


@dataclass
class Replica:
    """One server. broken: answers 503 to everything. cut: streams whose client left before their end."""

    name: str
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    broken: bool = False
    cut: int = 0
    finished: int = 0
    server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        asked = await _read(reader)
        if asked is None:
            return False
        self.asked.append(asked)
        await asyncio.sleep(float(asked.headers.get("x-test-delay", 0)))
        status = 503 if self.broken else int(asked.headers.get("x-test-status", 200))
        if chunks := int(asked.headers.get("x-test-chunks", 0)):
            return await self._stream(writer, chunks)
        body = json.dumps({"replica": self.name, "path": asked.path}).encode()
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        return True

    async def _stream(self, writer: asyncio.StreamWriter, chunks: int) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            for number in range(chunks):
                event = f"data: {number}\n\n".encode()
                writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        except ConnectionError:
            self.cut += 1
            return False
        self.finished += 1
        return True


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        return Asked(method, path, headers, await _chunks(reader))
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).strip() or b"0", 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


class Replicas:
    """Several of them on free loopback ports, until `close`."""

    def __init__(self, *names: str) -> None:
        self.all = {name: Replica(name) for name in names}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        for replica in self.all.values():
            asyncio.run_coroutine_threadsafe(self._start(replica), self._loop).result(10)

    def __getitem__(self, name: str) -> Replica:
        return self.all[name]

    async def _start(self, replica: Replica) -> None:
        replica.server = await asyncio.start_server(replica.serve, "127.0.0.1", 0)
        replica.port = replica.server.sockets[0].getsockname()[1]

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        for replica in self.all.values():
            if replica.server is not None:
                replica.server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
