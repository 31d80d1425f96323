"""Untrained models that the project's own experiments start from: byte pairs and a small Llama."""

from collections.abc import Iterable

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

WORDS = r" ?[A-Za-z]+|\d| ?[^\sA-Za-z\d]|\s"


def byte_pairs(
    texts: Iterable[str], vocabulary: int, *, mark: str | None = None, pieces: str = WORDS
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of these texts; no token crosses the border of `mark` or of a match of `pieces`.

    By default words, digits and signs are apart.
    """
    split = pre_tokenizers.Split(Regex(pieces), behavior="isolated")
    isolated = [] if mark is None else [pre_tokenizers.Split(Regex(mark), behavior="isolated")]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [*isolated, split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<eos>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([*texts, *([mark * 100] if mark else [])], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<eos>", pad_token="<pad>", clean_up_tokenization_spaces=False
    )


def small_llama(
    tokenizer: PreTrainedTokenizerBase,
    *,
    hidden: int,
    layers: int,
    context: int,
    kv_heads: int = 4,
    initializer_range: float = 0.02,
    seed: int = 0,
) -> LlamaForCausalLM:
    """Four heads, a feed-forward of 8/3 of the width, embeddings apart from the head."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=8 * hidden // 3,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=kv_heads,
            max_position_embeddings=context,
            initializer_range=initializer_range,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
            tie_word_embeddings=False,
        )
    )
