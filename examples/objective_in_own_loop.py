"""−log C^N in a training loop of one's own: torch and transformers, no trainer.

A tiny model learns a task in which the answer cannot be known: after each of ten prompts, four of eight tokens are
right equally often, so pass@1 can reach 1/4. With N = 1 (cross-entropy) and N = 4 it does; with --n 64 the loss is near
zero long before, because 64 samples find an answer of p = 1/8 anyway, and training stops there.

python examples/objective_in_own_loop.py --n 4
"""

import argparse

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from passatn.coverage import coverage, log_coverage

NUM_PROMPTS, NUM_ANSWERS, EOS = 10, 8, 18


def batch_of(size: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences [prompt, answer, end] `[size, 3]` and a mask `[size, 3]` of the tokens that belong to completions."""
    prompt = torch.randint(NUM_PROMPTS, (size,), generator=generator)
    answer = NUM_PROMPTS + (prompt + 2 * torch.randint(4, (size,), generator=generator)) % NUM_ANSWERS
    ids = torch.stack([prompt, answer, torch.full_like(prompt, EOS)], dim=1)
    return ids, torch.tensor([False, True, True]).expand_as(ids)


def completion_log_p(model: LlamaForCausalLM, ids: torch.Tensor, is_completion: torch.Tensor) -> torch.Tensor:
    """log p(completion | prompt) `[batch]`, in nats: the sum over its tokens, the end of the sequence included."""
    log_probs = model(input_ids=ids).logits[:, :-1].log_softmax(-1)
    token_log_p = log_probs.gather(-1, ids[:, 1:, None])[..., 0]
    return (token_log_p * is_completion[:, 1:]).sum(-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=float, default=4, help="samples per problem at test time; 1 is cross-entropy")
    n = parser.parse_args().n
    torch.manual_seed(0)
    torch.set_num_threads(1)  # a model of this size gains nothing from more
    config = LlamaConfig(vocab_size=EOS + 1, hidden_size=32, intermediate_size=64, num_hidden_layers=1)
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for step in range(1, 201):
        log_p = completion_log_p(model, *batch_of(64, generator))
        loss = -log_coverage(log_p, n).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            shown = "  ".join(f"pass@{k} {coverage(log_p.detach(), k).mean():.2f}" for k in (1, 4, 16))
            print(f"step {step}: loss {loss.item():.3f}  {shown}")


if __name__ == "__main__":
    main()
