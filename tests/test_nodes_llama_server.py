"""The options of the llama-server that comes from a wheel: all of the table, and nothing that is not in it."""

from pathlib import Path

import pytest

from reconciler.nodes.llama_flags import ENUM, FILE, FLAGS, FLOAT, FLOATS, INT, JSON, SWITCH, Flag
from reconciler.nodes.llama_server import fill, main, parse

xllamacpp = pytest.importorskip("xllamacpp")
WORDS = {INT: "5", FLOAT: "0.5", FLOATS: "1,2", JSON: '{"enable_thinking": false}'}
ENUM_WORDS = {"--pooling": "mean", "--split-mode": "row", "--numa": "isolate", "--attention": "non-causal", "--rope-scaling": "yarn"}
ENUM_WORDS |= {"--flash-attn": "on", "--reasoning-format": "deepseek-legacy", "--cache-type-k": "q8_0", "--cache-type-v": "q8_0"}


def params_of(*argv: str) -> object:
    params = xllamacpp.CommonParams()
    fill(xllamacpp, params, parse(["-m", "model.gguf", *argv]))
    return params


def value_at(params: object, path: str) -> object:
    for name in path.removeprefix("!").split("."):
        params = getattr(params, name)
    return params


def word_for(flag: Flag, folder: Path) -> str:
    if flag.kind == FILE:
        (folder / "file").write_text("content\n")
        return str(folder / "file")
    if flag.kind.startswith(ENUM):
        return ENUM_WORDS[flag.names[0]]
    return WORDS.get(flag.kind, flag.choices[1][0] if flag.choices else "word")


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if flag.kind != SWITCH], ids=lambda flag: flag.names[0])
def test_every_option_with_a_value_reaches_its_field(flag: Flag, tmp_path: Path) -> None:
    params = params_of(flag.names[0], word_for(flag, tmp_path))

    for path in flag.field.split():
        assert value_at(params, path) != value_at(xllamacpp.CommonParams(), path)


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if flag.kind == SWITCH], ids=lambda flag: flag.names[0])
def test_every_switch_is_switched_on_and_off(flag: Flag) -> None:
    inverted = flag.field.startswith("!")

    assert value_at(params_of(flag.names[0]), flag.field) is not inverted
    assert value_at(params_of("--no-" + flag.names[0].lstrip("-")), flag.field) is inverted


def test_short_names_and_several_models_names() -> None:
    params = params_of("-c", "4096", "-np", "2", "-t", "2", "-a", "one,two", "-ngl", "auto", "--host", "127.0.0.1", "--port", "8081")

    assert value_at(params, "n_ctx") == 4096
    assert value_at(params, "model_alias") == {"one", "two"}
    assert value_at(params, "cpuparams_batch.n_threads") == 2
    assert value_at(params, "hostnames") == ["127.0.0.1"]


def test_reranking_pools_by_rank() -> None:
    assert value_at(params_of("--reranking"), "pooling_type") == xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK


def test_everything_unknown_is_listed_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(["-m", "model.gguf", "--ctx-sise", "4096", "--wings"])

    assert stopped.value.code == 2
    assert "--ctx-sise (did you mean --ctx-size?), --wings" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--ctx-size", "many"], ["--fit", "perhaps"], ["--chat-template-file", "no/such/file"], []])
def test_a_value_that_means_nothing_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([*(["-m", "model.gguf"] if argv else []), *argv])

    assert (argv[0] if argv else "--model") in capsys.readouterr().err


def test_a_word_that_an_enum_does_not_have_names_those_it_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.gguf"
    model.touch()

    assert main(["-m", str(model), "--pooling", "most"]) == 2
    assert "--pooling most: one of cls, last, mean" in capsys.readouterr().err


def test_a_model_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", "no/such/model.gguf"]) == 1
    assert "no/such/model.gguf does not exist" in capsys.readouterr().err
