"""Requests through the gateway by the OpenAI client, once or steadily in the background, without retries: a lost request shows."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

import openai
from openai.types.chat import ChatCompletionUserMessageParam

from tools.demo import DemoFailed

DIMENSIONS: Final = 384  # of all-MiniLM-L6-v2
QUESTION: Final = "Which city is the capital of France?"
MESSAGE: Final = ChatCompletionUserMessageParam(role="user", content=QUESTION)
TIMEOUT: Final = 60.0  # seconds for one request


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway as a client sees it. workspace: of the endpoints that are asked."""

    port: int
    workspace: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def client(self, key: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=0, timeout=TIMEOUT)

    def model(self, endpoint: str) -> str:
        return f"{self.workspace}/{endpoint}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a key."""

    gateway: Gateway
    key: str
    client: openai.OpenAI

    @classmethod
    def of(cls, gateway: Gateway, key: str) -> "Caller":
        return cls(gateway, key, gateway.client(key))

    def chat(self, tokens: int = 24) -> str:
        """A chat completion. Raises openai.OpenAIError, DemoFailed for an empty answer."""
        model = self.gateway.model("chat")
        answer = self.client.chat.completions.create(model=model, messages=[MESSAGE], max_tokens=tokens, temperature=0)
        text = answer.choices[0].message.content or ""
        if not text.strip():
            raise DemoFailed(f"the completion is empty: {answer}")
        return " ".join(text.split())

    def streamed(self, tokens: int = 24) -> tuple[str, int]:
        """The same as a stream: the text, and in how many pieces it came."""
        model = self.gateway.model("chat")
        stream = self.client.chat.completions.create(model=model, messages=[MESSAGE], max_tokens=tokens, temperature=0, stream=True)
        pieces = [choice.delta.content for chunk in stream for choice in chunk.choices if choice.delta.content]
        if not pieces:
            raise DemoFailed("the stream is empty")
        return " ".join("".join(pieces).split()), len(pieces)

    def embed(self) -> int:
        """An embedding of one text: its dimensions."""
        answer = self.client.embeddings.create(model=self.gateway.model("embeddings"), input=QUESTION, encoding_format="float")
        size = len(answer.data[0].embedding)
        if size != DIMENSIONS:
            raise DemoFailed(f"the embedding has {size} dimensions, not {DIMENSIONS}")
        return size


def status_of(ask: Callable[[], object]) -> int:
    """The HTTP status of one request: 200, or that of the gateway's refusal. 0: no answer at all."""
    try:
        ask()
    except openai.APIStatusError as error:
        return error.status_code
    except openai.APIConnectionError:
        return 0
    return 200


@dataclass(slots=True)
class Steadily:
    """Ask over and over in the background, from `threads` threads with `pause` seconds between two requests of each.

    with Steadily("chat", caller.chat) as traffic: ...; at the end `answered()` says how many were, and raises if one was lost.
    """

    what: str
    ask: Callable[[], object]
    threads: int = 1
    pause: float = 0.1
    asked: int = 0
    lost: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _workers: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Steadily":
        self._workers = [threading.Thread(target=self._work, daemon=True, name=f"{self.what}-{n}") for n in range(self.threads)]
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        for worker in self._workers:
            worker.join(TIMEOUT)

    def _work(self) -> None:
        while not self._stop.is_set():
            begin = time.time()
            failure = ""
            try:
                self.ask()
            except (openai.OpenAIError, DemoFailed) as error:
                failure = f"{time.strftime('%H:%M:%S', time.localtime(begin))}: {type(error).__name__}: {error}"
            with self._guard:
                self.asked += 1
                if failure:
                    self.lost.append(failure)
            self._stop.wait(self.pause)

    def answered(self) -> int:
        """How many were asked. Raises DemoFailed if one was lost, or if none was asked."""
        with self._guard:
            if self.lost:
                raise DemoFailed(f"{self.what}: {len(self.lost)} of {self.asked} requests were lost, the first at {self.lost[0]}")
            if not self.asked:
                raise DemoFailed(f"{self.what}: nothing was asked")
            return self.asked
