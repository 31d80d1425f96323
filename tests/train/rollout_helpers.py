"""A tiny policy, problems with reasoning and verifiers for the tests of chain-of-thought training."""

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tokenizers import decoders
from transformers import PreTrainedTokenizerFast

from passatn.sample import HFEngine, SampleRequest
from passatn.sample.engine import Completion
from passatn.tasks import Problem, PromptTemplate
from passatn.train import CoverageTrainer, reasoning_dataset
from passatn.verify.verdict import Outcome, Submission, Verdict
from tiny import build_model, build_tokenizer
from train_helpers import make_config

TEMPLATE = PromptTemplate("tiny", "{prompt}=", "{reasoning}={answer}")
"""`12+34=` is followed by a reasoning, `=` and the answer."""
CHARACTERS = "e0123456789abcd+="


def character_tokenizer() -> PreTrainedTokenizerFast:
    """The tiny tokeniser, without spaces between the characters that it decodes."""
    tokenizer = build_tokenizer()
    tokenizer.backend_tokenizer.decoder = decoders.Fuse()
    return tokenizer


def make_problems(count: int) -> list[Problem]:
    """Problem i accepts 1 + 2 (i mod 8) characters, so that success rates of a random policy differ."""
    return [
        Problem(str(i), f"{i}+{7 * i % 10}", tuple(CHARACTERS[: 1 + 2 * (i % 8)]), reasoning="abcde"[i % 5])
        for i in range(count)
    ]


def make_rows(count: int = 16) -> Dataset:
    return reasoning_dataset(make_problems(count), TEMPLATE)


class EndsWell:
    """Correct if the last character is an accepted answer; the last character is the extracted answer.

    Records what it is asked, and from which thread.
    """

    name, version = "ends-well", "1"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.threads: set[int] = set()
        self.num_closed = 0

    def verify(self, submissions: Sequence[Submission]) -> list[Verdict]:
        self.threads.add(threading.get_ident())
        self.asked += [(submission.problem.id, submission.completion) for submission in submissions]
        return [self._judge(submission) for submission in submissions]

    def _judge(self, submission: Submission) -> Verdict:
        last = submission.completion[-1:]
        is_correct = last in submission.problem.answers
        return Verdict(Outcome.CORRECT if is_correct else Outcome.INCORRECT, last or None)

    def close(self) -> None:
        self.num_closed += 1


def make_rollout_trainer(
    output_dir: Path,
    data: Dataset | None = None,
    *,
    model: Any = None,
    verifier: Any = None,
    arguments: dict[str, Any] | None = None,
    **settings: Any,
) -> Any:
    """A trainer of the tiny model by roll-outs; `arguments` go to the trainer, `settings` to its config."""
    defaults: dict[str, Any] = {
        "confidence": "rollouts",
        "n_passes": 64,
        "num_rollouts": 16,
        "rollout_max_new_tokens": 6,
        "min_active_fraction": 0.0,
        "per_device_train_batch_size": 4,
        "max_length": None,
    }
    return CoverageTrainer(
        build_model() if model is None else model,
        args=make_config(output_dir, **(defaults | settings)),
        train_dataset=make_rows() if data is None else data,
        processing_class=character_tokenizer(),
        verifier=EndsWell() if verifier is None else verifier,
        **(arguments or {}),
    )


def surrogate_logs(trainer: Any) -> list[dict[str, float]]:
    return [entry for entry in trainer.state.log_history if "surrogate_loss" in entry]


def exact_success(model: Any, prompt_ids: Sequence[int], accepted: Sequence[str], max_new_tokens: int) -> float:
    """p that a completion of at most `max_new_tokens` tokens ends well, by enumerating them all."""
    tokenizer = character_tokenizer()
    eos = tokenizer.eos_token_id
    vocabulary = [token for token in range(model.config.vocab_size) if token != eos]
    total = 0.0
    for length in range(1, max_new_tokens):
        bodies = [ids for ids in itertools.product(vocabulary, repeat=length) if tokenizer.decode(ids)[-1:] in accepted]
        for start in range(0, len(bodies), 4096):
            rows = torch.tensor([[*prompt_ids, *body, eos] for body in bodies[start : start + 4096]])
            with torch.no_grad():
                log_p = model(rows).logits.double().log_softmax(-1)[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
            total += float(log_p[:, len(prompt_ids) - 1 :].sum(1).exp().sum())
    return total


class CountingEngine(HFEngine):
    """Records what it is asked to draw."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: list[tuple[list[str], int, int, int]] = []  # problem ids, first index, n, seed

    def sample(self, requests: Sequence[SampleRequest], params: Any, *, progress: bool = False) -> list[Completion]:
        ids = [request.problem_id for request in requests]
        self.calls.append((ids, params.first_index, params.n, params.seed))
        return super().sample(requests, params, progress=progress)
