"""The options of `llama-server` that its library takes, as one table: names, kind of value, field of CommonParams.

Source: the published option tables of llama.cpp, for those options that the library of the wheel has a field for. Options that are not in
the table are refused by name: an option that is silently ignored would be a lie about what runs.
"""

from dataclasses import dataclass
from typing import Final

INT, FLOAT, TEXT, SWITCH, LIST, NAMES, FILE, JSON, FLOATS = "int", "float", "text", "switch", "list", "names", "file", "json", "floats"
ENUM: Final = "enum:"  # followed by the library's enum and the prefix of its members


@dataclass(frozen=True, slots=True)
class Flag:
    """names: as they are written, the long one first. field: dotted path in CommonParams. kind: what its value is.

    SWITCH takes no value and has a `--no-` form; NAMES is a set, LIST and FLOATS are separated by commas; FILE is a text read from a file.
    choices: words of an ENUM that differ from its members, or of a TEXT that stand for something else.
    """

    names: tuple[str, ...]
    field: str
    kind: str
    choices: tuple[tuple[str, object], ...] = ()

    @property
    def dest(self) -> str:
        return self.names[0].lstrip("-").replace("-", "_")


def _flag(names: str, field: str, kind: str, *choices: tuple[str, object]) -> Flag:
    return Flag(tuple(names.split()), field, kind, choices)


ON_OFF: Final = (("on", True), ("off", False))
_CACHE: Final = ENUM + "ggml_type GGML_TYPE_"

FLAGS: Final = (
    # server
    _flag("--model -m", "model.path", TEXT),
    _flag("--alias -a", "model_alias", NAMES),
    _flag("--tags", "model_tags", NAMES),
    _flag("--host", "hostnames", LIST),
    _flag("--port", "port", INT),
    _flag("--reuse-port", "reuse_port", SWITCH),
    _flag("--timeout -to", "timeout_read timeout_write", INT),
    _flag("--sse-ping-interval", "sse_ping_interval", INT),
    _flag("--threads-http", "n_threads_http", INT),
    _flag("--api-key-file", "api_keys", FILE),
    _flag("--metrics", "endpoint_metrics", SWITCH),
    _flag("--props", "endpoint_props", SWITCH),
    _flag("--slots", "endpoint_slots", SWITCH),
    _flag("--slot-save-path", "slot_save_path", TEXT),
    _flag("--slot-prompt-similarity -sps", "slot_prompt_similarity", FLOAT),
    _flag("--sleep-idle-seconds", "sleep_idle_seconds", INT),
    _flag("--ui --webui", "ui", SWITCH),
    _flag("--cors-origins", "cors_origins", TEXT),
    _flag("--cors-methods", "cors_methods", TEXT),
    _flag("--cors-headers", "cors_headers", TEXT),
    _flag("--cors-credentials", "cors_credentials", SWITCH),
    _flag("--log-jsonl", "log_json", SWITCH),
    _flag("--verbosity -lv --log-verbosity", "verbosity", INT),
    # task
    _flag("--embedding --embeddings", "embedding", SWITCH),
    _flag("--reranking --rerank", "embedding", SWITCH),
    _flag("--pooling", "pooling_type", ENUM + "llama_pooling_type LLAMA_POOLING_TYPE_"),
    _flag("--attention", "attention_type", ENUM + "llama_attention_type LLAMA_ATTENTION_TYPE_", ("non-causal", "NON_CAUSAL")),
    _flag("--embd-normalize", "embd_normalize", INT),
    # context and cache
    _flag("--ctx-size -c", "n_ctx", INT),
    _flag("--parallel -np", "n_parallel", INT),
    _flag("--batch-size -b", "n_batch", INT),
    _flag("--ubatch-size -ub", "n_ubatch", INT),
    _flag("--n-predict -n --predict", "n_predict", INT),
    _flag("--keep", "n_keep", INT),
    _flag("--cont-batching -cb", "cont_batching", SWITCH),
    _flag("--context-shift", "ctx_shift", SWITCH),
    _flag("--cache-prompt", "cache_prompt", SWITCH),
    _flag("--cache-reuse", "n_cache_reuse", INT),
    _flag("--cache-ram -cram", "cache_ram_mib", INT),
    _flag("--cache-idle-slots", "cache_idle_slots", SWITCH),
    _flag("--cache-type-k -ctk", "cache_type_k", _CACHE),
    _flag("--cache-type-v -ctv", "cache_type_v", _CACHE),
    _flag("--ctx-checkpoints -ctxcp --swa-checkpoints", "n_ctx_checkpoints", INT),
    _flag("--checkpoint-min-step -cms", "checkpoint_min_step", INT),
    _flag("--kv-unified -kvu", "kv_unified", SWITCH),
    _flag("--kv-unified-per-slot", "kv_unified_per_slot", INT),
    _flag("--swa-full", "swa_full", SWITCH),
    # threads and devices
    _flag("--threads -t", "cpuparams.n_threads", INT),
    _flag("--threads-batch -tb", "cpuparams_batch.n_threads", INT),
    _flag("--poll", "cpuparams.poll", INT),
    _flag("--numa", "numa", ENUM + "ggml_numa_strategy GGML_NUMA_STRATEGY_"),
    _flag("--n-gpu-layers -ngl --gpu-layers", "n_gpu_layers", INT, ("auto", -1), ("all", -2)),
    _flag("--split-mode -sm", "split_mode", ENUM + "llama_split_mode LLAMA_SPLIT_MODE_"),
    _flag("--tensor-split -ts", "tensor_split", FLOATS),
    _flag("--main-gpu -mg", "main_gpu", INT),
    _flag(
        "--flash-attn -fa", "flash_attn_type", ENUM + "llama_flash_attn_type LLAMA_FLASH_ATTN_TYPE_", ("on", "ENABLED"), ("off", "DISABLED")
    ),
    _flag("--fit", "fit_params", TEXT, *ON_OFF),
    _flag("--fit-ctx -fitc", "fit_params_min_ctx", INT),
    _flag("--no-host", "no_host", SWITCH),
    _flag("--check-tensors", "check_tensors", SWITCH),
    _flag("--warmup", "warmup", SWITCH),
    _flag("--perf", "!no_perf", SWITCH),
    _flag("--kv-offload -kvo", "!no_kv_offload", SWITCH),
    _flag("--op-offload", "!no_op_offload", SWITCH),
    _flag("--repack", "!no_extra_bufts", SWITCH),
    _flag("--offline", "offline", SWITCH),
    # rope
    _flag("--rope-scaling", "rope_scaling_type", ENUM + "llama_rope_scaling_type LLAMA_ROPE_SCALING_TYPE_"),
    _flag("--rope-freq-base", "rope_freq_base", FLOAT),
    _flag("--rope-freq-scale", "rope_freq_scale", FLOAT),
    _flag("--yarn-orig-ctx", "yarn_orig_ctx", INT),
    _flag("--yarn-ext-factor", "yarn_ext_factor", FLOAT),
    _flag("--yarn-attn-factor", "yarn_attn_factor", FLOAT),
    _flag("--yarn-beta-slow", "yarn_beta_slow", FLOAT),
    _flag("--yarn-beta-fast", "yarn_beta_fast", FLOAT),
    # chat
    _flag("--jinja", "use_jinja", SWITCH),
    _flag("--chat-template", "chat_template", TEXT),
    _flag("--chat-template-file", "chat_template", FILE),
    _flag("--chat-template-kwargs", "default_template_kwargs", JSON),
    _flag("--reasoning -rea", "enable_reasoning", TEXT, ("on", 1), ("off", 0), ("auto", -1)),
    _flag(
        "--reasoning-format",
        "reasoning_format",
        ENUM + "common_reasoning_format COMMON_REASONING_FORMAT_",
        ("deepseek-legacy", "DEEPSEEK_LEGACY"),
    ),
    _flag("--reasoning-budget", "sampling.reasoning_budget_tokens", INT),
    _flag("--prefill-assistant", "prefill_assistant", SWITCH),
    _flag("--special -sp", "special", SWITCH),
    _flag("--escape -e", "escape", SWITCH),
    # images
    _flag("--mmproj -mm", "mmproj.path", TEXT),
    _flag("--mmproj-offload", "mmproj_use_gpu", SWITCH),
    _flag("--image-min-tokens", "image_min_tokens", INT),
    _flag("--image-max-tokens", "image_max_tokens", INT),
    # sampling, where a request does not say
    _flag("--seed -s", "sampling.seed", INT),
    _flag("--samplers", "sampling.samplers", TEXT),
    _flag("--temp --temperature", "sampling.temp", FLOAT),
    _flag("--top-k", "sampling.top_k", INT),
    _flag("--top-p", "sampling.top_p", FLOAT),
    _flag("--min-p", "sampling.min_p", FLOAT),
    _flag("--typical-p --typical", "sampling.typ_p", FLOAT),
    _flag("--xtc-probability", "sampling.xtc_probability", FLOAT),
    _flag("--xtc-threshold", "sampling.xtc_threshold", FLOAT),
    _flag("--repeat-last-n", "sampling.penalty_last_n", INT),
    _flag("--repeat-penalty", "sampling.penalty_repeat", FLOAT),
    _flag("--presence-penalty", "sampling.penalty_present", FLOAT),
    _flag("--frequency-penalty", "sampling.penalty_freq", FLOAT),
    _flag("--dry-multiplier", "sampling.dry_multiplier", FLOAT),
    _flag("--dry-base", "sampling.dry_base", FLOAT),
    _flag("--dry-allowed-length", "sampling.dry_allowed_length", INT),
    _flag("--dry-penalty-last-n", "sampling.dry_penalty_last_n", INT),
    _flag("--dynatemp-range", "sampling.dynatemp_range", FLOAT),
    _flag("--dynatemp-exp", "sampling.dynatemp_exponent", FLOAT),
    _flag("--mirostat", "sampling.mirostat", INT),
    _flag("--mirostat-lr", "sampling.mirostat_eta", FLOAT),
    _flag("--mirostat-ent", "sampling.mirostat_tau", FLOAT),
    _flag("--adaptive-target", "sampling.adaptive_target", FLOAT),
    _flag("--adaptive-decay", "sampling.adaptive_decay", FLOAT),
    _flag("--ignore-eos", "sampling.ignore_eos", SWITCH),
    _flag("--backend-sampling -bs", "sampling.backend_sampling", SWITCH),
)
