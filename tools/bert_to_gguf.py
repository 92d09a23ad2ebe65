"""A BERT sentence-embedding model -> GGUF (F16), without torch: numpy and gguf are enough.

    python -m tools.bert_to_gguf MODEL_DIR OUT.gguf

MODEL_DIR is a Hugging Face style folder: config.json, vocab.txt, model.safetensors, 1_Pooling/config.json. Only for WordPiece
vocabularies with the usual special tokens. Vectors of one dimension, position and token-type embeddings stay F32, as llama.cpp
expects them.
"""

import json
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import gguf
import numpy as np
from numpy.typing import NDArray

Config: TypeAlias = Mapping[str, Any]  # config.json of a model: foreign, and read by name
Tensor: TypeAlias = NDArray[Any]

DTYPES: Final[Mapping[str, np.dtype[Any]]] = {"F32": np.dtype(np.float32), "F16": np.dtype(np.float16), "I64": np.dtype(np.int64)}
SPECIAL: Final = frozenset({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"})
LEFT_OUT: Final = frozenset({"embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"})  # llama.cpp pools by itself


def read_safetensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the file by name, read lazily."""
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    size = struct.unpack("<Q", raw[:8].tobytes())[0]
    header = json.loads(raw[8 : 8 + size].tobytes())
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            yield name, np.asarray(raw[begin:end]).view(DTYPES[entry["dtype"]]).reshape(entry["shape"])


def word_piece(token: str) -> str:
    """llama.cpp's spelling: the beginning of a word carries U+2581, a continuation loses its "##"; special tokens stay."""
    if token in SPECIAL:
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token


def add_hyperparameters(writer: gguf.GGUFWriter, config: Config, pooling: Config, name: str) -> None:
    writer.add_type("model")
    writer.add_name(name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.CLS if pooling["pooling_mode_cls_token"] else gguf.PoolingType.MEAN)
    writer.add_token_type_count(config["type_vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def add_tokenizer(writer: gguf.GGUFWriter, vocabulary: list[str]) -> None:
    kinds = [gguf.TokenType.CONTROL if token in SPECIAL else gguf.TokenType.NORMAL for token in vocabulary]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([word_piece(token) for token in vocabulary])
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_unk_token_id(vocabulary.index("[UNK]"))
    writer.add_pad_token_id(vocabulary.index("[PAD]"))
    writer.add_mask_token_id(vocabulary.index("[MASK]"))
    writer.add_bos_token_id(vocabulary.index("[CLS]"))
    writer.add_eos_token_id(vocabulary.index("[SEP]"))
    writer.add_sep_token_id(vocabulary.index("[SEP]"))


def add_tensors(writer: gguf.GGUFWriter, path: Path, blocks: int) -> None:
    """Raises ValueError for a tensor that a BERT embedding model does not have."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, blocks)
    for key, tensor in read_safetensors(path):
        if key in LEFT_OUT:
            continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if not name:
            raise ValueError(f"{path}: no GGUF name for the tensor {key}")
        keep = tensor.ndim == 1 or "position_embd" in name or "token_types" in name
        writer.add_tensor(name, tensor.astype(np.float32 if keep else np.float16))


def convert(source: Path, out: Path, name: str) -> None:
    """Write the model in `source` to `out`. The same input gives the same bytes."""
    config: Config = json.loads((source / "config.json").read_text())
    pooling: Config = json.loads((source / "1_Pooling" / "config.json").read_text())
    vocabulary = (source / "vocab.txt").read_text(encoding="utf-8").split("\n")[: config["vocab_size"]]
    writer = gguf.GGUFWriter(str(out), gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.BERT])
    add_hyperparameters(writer, config, pooling, name)
    add_tokenizer(writer, vocabulary)
    add_tensors(writer, source / "model.safetensors", config["num_hidden_layers"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[1]).name)
