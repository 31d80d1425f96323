"""A tokeniser and a model small enough to train in a test."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A tokeniser of single characters: `0 … 9`, `a … e`, `+`, `=`, space."""
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<eos>", *"0123456789abcde+= "])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.add_special_tokens(["<pad>", "<eos>"])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


def build_model(seed: int = 0, vocab_size: int = 20, **config: object) -> LlamaForCausalLM:
    """A Llama of about ten thousand parameters, float32."""
    torch.manual_seed(seed)
    settings = {
        "vocab_size": vocab_size,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": None,
        "tie_word_embeddings": False,
    }
    return LlamaForCausalLM(LlamaConfig(**(settings | config)))
