"""Tiny random models of several architectures, built from a configuration, and examples for them."""

import copy

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
)

from passatn.tasks.encoding import EncodedExample

VOCAB_SIZE = 29
EOS = 1

_SIZES = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": 2,
    "eos_token_id": EOS,
    "pad_token_id": 0,
}
# A soft cap of 0.5 is far inside the range of the logits, so that a score which forgot it would be visibly wrong.
CONFIGS: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(**_SIZES),
    "qwen2": Qwen2Config(**_SIZES),
    "gpt2": GPT2Config(vocab_size=VOCAB_SIZE, n_embd=16, n_layer=2, n_head=4, n_positions=128, eos_token_id=EOS),
    "gemma2": Gemma2Config(**_SIZES, head_dim=4, sliding_window=6, final_logit_softcapping=0.5),
}


def random_model(
    name: str = "llama",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    vocab_size: int = VOCAB_SIZE,
    **kwargs: object,
) -> PreTrainedModel:
    """A random model in evaluation mode; its weights are scaled up so that its distribution is far from uniform."""
    torch.manual_seed(seed)
    config = copy.deepcopy(CONFIGS[name])
    config.vocab_size = vocab_size
    model = AutoModelForCausalLM.from_config(config, **kwargs)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(12.0)
    return model.to(dtype).eval()


def random_examples(
    count: int, seed: int = 0, longest_prompt: int = 12, longest_completion: int = 7
) -> list[EncodedExample]:
    rng = np.random.default_rng(seed)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(int(i) for i in rng.integers(2, VOCAB_SIZE, length))

    return [
        EncodedExample(ids(rng.integers(1, longest_prompt + 1)), (*ids(rng.integers(0, longest_completion)), EOS))
        for _ in range(count)
    ]


def reference_scores(model: torch.nn.Module, examples: list[EncodedExample], temperatures: list[float]) -> np.ndarray:
    """One example at a time, all logits, in float64: the computation that the batched one has to agree with."""
    rows = []
    for example in examples:
        ids = torch.tensor([example.prompt_ids + example.completion_ids])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0].double()
        first = len(example.prompt_ids)
        rows.append(
            [
                sum(
                    torch.log_softmax(logits[first + k - 1] / temperature, -1)[token].item()
                    for k, token in enumerate(example.completion_ids)
                )
                for temperature in temperatures
            ]
        )
    return np.array(rows)
