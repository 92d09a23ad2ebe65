"""The demo's models in the real engine: what was converted embeds, and the chat model answers."""

import json
import math
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tools.ports import free_port

START = 60.0  # seconds


@contextmanager
def engine(model: Path, log: Path, *words: str) -> Iterator[str]:
    """llama.cpp's server on a model, ended with the block. Its URL."""
    port = free_port()
    command = [sys.executable, "-m", "reconciler.nodes.llama_server", "-m", str(model), "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as out:
        child = subprocess.Popen([*command, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", child)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        child.terminate()
        child.wait(20)


def wait_for(url: str, child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end:
        assert child.poll() is None, "the engine ended"
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
        else:
            return
    pytest.fail("the engine does not come up")


def post(url: str, body: object) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def cosine(one: list[float], two: list[float]) -> float:
    return sum(a * b for a, b in zip(one, two, strict=True)) / math.hypot(*one) / math.hypot(*two)


@pytest.mark.real
def test_the_converted_model_embeds_meaning(models: Path, tmp_path: Path) -> None:
    model = models / "all-minilm-l6-v2" / "all-MiniLM-L6-v2.F16.gguf"
    texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "The central bank raised interest rates."]
    with engine(model, tmp_path / "log", "--embedding", "--pooling", "mean", "-c", "512") as url:
        found = [item["embedding"] for item in post(f"{url}/embeddings", {"model": "any", "input": texts})["data"]]

    assert [len(vector) for vector in found] == [384, 384, 384]
    assert [math.hypot(*vector) for vector in found] == pytest.approx([1.0, 1.0, 1.0], abs=1e-3)
    assert cosine(found[0], found[1]) > 0.5 > 0.2 > cosine(found[0], found[2])


@pytest.mark.real
def test_the_chat_model_answers(models: Path, tmp_path: Path) -> None:
    model = models / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    body = {"model": "any", "temperature": 0, "max_tokens": 24}
    question = {"role": "user", "content": "Which city is the capital of France?"}
    with engine(model, tmp_path / "log", "-c", "1024") as url:
        answer = post(f"{url}/chat/completions", {**body, "messages": [question]})

    assert "Paris" in answer["choices"][0]["message"]["content"]
