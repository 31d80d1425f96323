"""Small byte-level BPE tokenizers with real merges, with or without BOS, end-of-sequence and a chat template."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CORPUS = [
    "Question: What is 12 + 34?\nAnswer: 46",
    "Question: Let $x = \\frac{1}{2}$. What is $x^2$?\nAnswer: \\frac{1}{4}",
    "State: n : Nat ⊢ n + 0 = n:::simp",
    "The answer is: 46 46 46 12 34 12 34",
] * 20


def bpe_tokenizer(*, bos: bool = False, ends_texts: bool = False, split_words: bool = True) -> PreTrainedTokenizerFast:
    """`split_words=False` lets tokens merge over spaces and colons; `ends_texts` adds EOS behind each text."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split_words)
    backend.decoder = decoders.ByteLevel()
    special = ["<|im_end|>", "<s>", "<pad>", "<|im_start|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    backend.train_from_iterator(CORPUS, trainer)
    if bos or ends_texts:
        single = f"{'<s> ' if bos else ''}$A{' <|im_end|>' if ends_texts else ''}"
        backend.post_processor = processors.TemplateProcessing(
            single=single, special_tokens=[("<s>", 1), ("<|im_end|>", 0)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<pad>",
        bos_token="<s>" if bos else None,
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
