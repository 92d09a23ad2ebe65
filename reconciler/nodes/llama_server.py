"""`llama-server` out of the xllamacpp wheel: llama.cpp's own HTTP server, with the options of its program.

    python -m reconciler.nodes.llama_server -m model.gguf --host 127.0.0.1 --port 8081 -a name -c 4096 -np 2 --metrics

The server runs on its own threads inside this process; nothing of the HTTP API is ours. Options: `llama_flags.py`.
"""

import argparse
import difflib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType

from reconciler.nodes.llama_flags import ENUM, FILE, FLAGS, FLOAT, FLOATS, INT, JSON, LIST, NAMES, SWITCH, Flag

DEFAULT_PORT = 8080


def parse(argv: Sequence[str]) -> dict[str, object]:
    """Values by flag, only of those that are given. Exits with 2 and a list of everything that is not known."""
    parser = argparse.ArgumentParser("llama_server", allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for flag in FLAGS:
        _declare(parser, flag)
    values, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.error(_unknown(unknown))
    given = dict(vars(values))
    if "model" not in given:
        parser.error("-m/--model is needed: the model file (GGUF)")
    return given


def _declare(parser: argparse.ArgumentParser, flag: Flag) -> None:
    if flag.kind == SWITCH:
        parser.add_argument(*flag.names, dest=flag.dest, action="store_true")
        parser.add_argument(f"--no-{flag.names[0].lstrip('-')}", dest=flag.dest, action="store_false")
        return
    parser.add_argument(*flag.names, dest=flag.dest, type=lambda text: convert(flag, text), metavar=flag.kind.partition(":")[0].upper())


def _unknown(words: Iterable[str]) -> str:
    names = [name for flag in FLAGS for name in flag.names]
    parts = []
    for word in (word for word in words if word.startswith("-")):
        near = difflib.get_close_matches(word.partition("=")[0], names, n=1)
        parts.append(f"{word} (did you mean {near[0]}?)" if near else word)
    return "not supported by this build: " + ", ".join(parts or words)


def convert(flag: Flag, text: str) -> object:
    """The value that a text means. Raises argparse.ArgumentTypeError."""
    words = dict(flag.choices)
    if text in words and not flag.kind.startswith(ENUM):
        return words[text]
    try:
        return _convert(flag, text, words)
    except (ValueError, OSError, AttributeError) as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def _convert(flag: Flag, text: str, words: dict[str, object]) -> object:
    if flag.kind.startswith(ENUM):
        return str(words.get(text, text.upper().replace("-", "_")))
    if words and flag.kind not in (INT, FLOAT):
        raise ValueError(f"one of {', '.join(words)} is needed")
    kinds: dict[str, Callable[[str], object]] = {
        INT: int,
        FLOAT: float,
        NAMES: lambda value: {part for part in value.split(",") if part},
        LIST: lambda value: value.split(","),
        FLOATS: lambda value: [float(part) for part in value.replace("/", ",").split(",")],
        FILE: lambda value: Path(value).read_text(),
        JSON: lambda value: {name: json.dumps(part) for name, part in json.loads(value).items()},
    }
    return kinds.get(flag.kind, str)(text)


def fill(library: ModuleType, params: object, given: dict[str, object]) -> None:
    """Put the values into CommonParams. Raises ValueError for a word that an enum does not have."""
    for flag in FLAGS:
        if flag.dest in given:
            value = _member(library, flag, given[flag.dest])
            for path in flag.field.split():
                _assign(params, path, value)
    if given.get("reranking") and "pooling" not in given:
        _assign(params, "pooling_type", library.llama_pooling_type.LLAMA_POOLING_TYPE_RANK)
    if "threads" in given and "threads_batch" not in given:
        _assign(params, "cpuparams_batch.n_threads", given["threads"])


def _member(library: ModuleType, flag: Flag, value: object) -> object:
    if flag.names[0] == "--api-key-file":
        return [line for line in str(value).splitlines() if line]
    if not flag.kind.startswith(ENUM):
        return value
    enum, prefix = flag.kind.removeprefix(ENUM).split()
    members = getattr(library, enum)
    if not hasattr(members, prefix + str(value)):
        known = sorted(name.removeprefix(prefix).lower() for name in dir(members) if name.startswith(prefix))
        raise ValueError(f"{flag.names[0]} {str(value).lower()}: one of {', '.join(known)} is needed")
    return getattr(members, prefix + str(value))


def _assign(params: object, path: str, value: object) -> None:
    *parents, name = path.removeprefix("!").split(".")
    for parent in parents:
        params = getattr(params, parent)
    value = not value if path.startswith("!") else value
    if name == "tensor_split" and isinstance(value, list):
        value = value + [0.0] * (len(getattr(params, name)) - len(value))
    setattr(params, name, value)


def main(argv: Sequence[str] | None = None) -> int:
    given = parse(sys.argv[1:] if argv is None else argv)
    started = time.monotonic()
    model = str(given["model"])
    if not Path(model).is_file():
        sys.stderr.write(f"llama_server: the model file {model} does not exist\n")
        return 1
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.port = DEFAULT_PORT
    try:
        fill(xllamacpp, params, given)
    except ValueError as error:
        sys.stderr.write(f"llama_server: {error}\n")
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = xllamacpp.Server(params)
    sys.stderr.write(f"llama_server: {server.listening_address} serves {model} after {time.monotonic() - started:.2f} s\n")
    stop.wait()
    os._exit(0)  # the library's threads have nothing to finish: who stops us has waited for the requests


if __name__ == "__main__":
    sys.exit(main())
