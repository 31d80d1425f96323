"""Which data still help: directional derivatives of the test loss along training gradients (paper C.1, fig. 5).

    test loss       L(θ) = mean over test problems of −log C^N = −log(1 − (1 − p)^N), p over all accepted answers
    training batch  g = gradient of the mean cross-entropy −log p of its examples
    derivative      −⟨∇L, g⟩ / ‖g‖: the change of L per unit length of a small step down the batch's own loss

Negative: a step on that batch lowers the test loss. Exact: gradients by back-propagation and their dot products, no
finite differences; memory for four copies of the trained weights, whatever the number of examples.

    influences(model, test, {"level 1": easy, "level 5": hard}, n=256)["level 1"].derivative
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from passatn.sample.memory import parameter_device
from passatn.tasks.encoding import EncodedExample
from passatn.train.likelihood import coverage_losses, example_log_probs

Gradient = list[Tensor]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Influence:
    """One training batch; a part is a few of its examples, in order, so that their spread gives an error."""

    part_sizes: tuple[int, ...]
    part_dots: tuple[float, ...]
    """⟨∇L, mean gradient of the part⟩."""
    norm: float
    """‖g‖ of the whole batch."""
    test_norm: float
    """‖∇L‖."""

    @property
    def derivative(self) -> float:
        """−⟨∇L, g⟩ / ‖g‖; 0 where the batch has no gradient."""
        return -float(np.average(self.part_dots, weights=self.part_sizes)) / self.norm if self.norm else 0.0

    @property
    def cosine(self) -> float:
        """Of the angle between a step down the batch's loss and one down the test loss: positive helps."""
        return -self.derivative / self.test_norm if self.test_norm else 0.0

    @property
    def standard_error(self) -> float | None:
        """Of the derivative at this norm, from the spread of the parts; None for a single one."""
        count = len(self.part_dots)
        if count < 2 or not self.norm:
            return None
        shares = np.array(self.part_sizes) / sum(self.part_sizes)
        away = shares * (np.array(self.part_dots) + self.derivative * self.norm)
        return float(math.sqrt(count / (count - 1) * np.sum(away**2)) / self.norm)


def influences(
    model: torch.nn.Module,
    test: Sequence[Sequence[EncodedExample]],
    batches: Mapping[str, Sequence[EncodedExample]],
    n: float,
    *,
    part_size: int = 16,
) -> dict[str, Influence]:
    """The derivative of the test loss along each batch, at the model's present weights, dropout off.

    Args:
        model: a causal language model; of its weights those with `requires_grad` count. It is left as it was.
        test: for each test problem the encodings of its accepted answers.
        batches: training examples by name, such as a level of difficulty.
        n: N of the test loss, at least 1.
        part_size: examples in one forward and backward pass.

    Raises:
        ValueError: no test problem, an empty batch, no trainable weight, or a gradient that is not finite, by name.
    """
    weights: Gradient = [weight for weight in model.parameters() if weight.requires_grad]
    if not weights or not test or not all(test):
        raise ValueError("influences needs trainable weights, and test problems with accepted answers")
    for name, examples in batches.items():
        if not examples:
            raise ValueError(f"the batch {name!r} has no examples")
    was_training = model.training
    model.eval()
    try:
        slope = _test_gradient(model, weights, test, n, part_size)
        return {name: _influence(model, weights, name, batch, slope, part_size) for name, batch in batches.items()}
    finally:
        model.train(was_training)


def coverage_loss(model: torch.nn.Module, test: Sequence[Sequence[EncodedExample]], n: float) -> Tensor:
    """L(θ), a differentiable scalar in float64, in one pass over all the problems."""
    counts = [len(answers) for answers in test]
    log_p = _log_p(model, [example for answers in test for example in answers])
    totals = [part.logsumexp(0) for part in log_p.split(counts)]
    return coverage_losses(torch.stack(totals).clamp(max=0.0), n).mean()


def _test_gradient(
    model: torch.nn.Module, weights: Gradient, test: Sequence[Sequence[EncodedExample]], n: float, part_size: int
) -> Gradient:
    total = [torch.zeros_like(weight) for weight in weights]
    for part in _parts(test, part_size):
        _add(total, _gradient(coverage_loss(model, part, n), weights), len(part) / len(test))
    _norm(total, "the test problems")
    return total


def _influence(
    model: torch.nn.Module,
    weights: Gradient,
    name: str,
    batch: Sequence[EncodedExample],
    slope: Gradient,
    part_size: int,
) -> Influence:
    total = [torch.zeros_like(weight) for weight in weights]
    sizes, dots = [], []
    for part in _parts(batch, part_size):
        gradient = _gradient(-_log_p(model, part).mean(), weights)
        _add(total, gradient, len(part) / len(batch))
        sizes.append(len(part))
        dots.append(_dot(slope, gradient))
    return Influence(tuple(sizes), tuple(dots), _norm(total, f"the batch {name!r}"), math.sqrt(_dot(slope, slope)))


def _log_p(model: torch.nn.Module, examples: Sequence[EncodedExample]) -> Tensor:
    """log p of each completion `[examples]` in float64, differentiable; padded on the right."""
    device = parameter_device(model)
    sequences = [torch.tensor(example.prompt_ids + example.completion_ids) for example in examples]
    ids = pad_sequence(sequences, batch_first=True).to(device)
    position = torch.arange(ids.shape[1], device=device)
    lengths = torch.tensor([len(sequence) for sequence in sequences], device=device)[:, None]
    starts = torch.tensor([len(example.prompt_ids) for example in examples], device=device)[:, None]
    logits = model(input_ids=ids, attention_mask=(position < lengths).long(), use_cache=False).logits[:, :-1]
    is_answer = ((position >= starts) & (position < lengths))[:, 1:]
    chosen = logits.gather(-1, ids[:, 1:, None])[..., 0] - logits.logsumexp(-1)
    return example_log_probs(torch.where(is_answer, chosen, 0.0), is_answer, {})[0]


def _gradient(loss: Tensor, weights: Gradient) -> Gradient:
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]


def _add(total: Gradient, gradient: Gradient, factor: float) -> None:
    for sum_, part in zip(total, gradient, strict=True):
        sum_.add_(part, alpha=factor)


def _dot(a: Gradient, b: Gradient) -> float:
    """Added in float64 over the weights."""
    return float(sum(torch.dot(x.flatten().double(), y.flatten().double()).item() for x, y in zip(a, b, strict=True)))


def _norm(gradient: Gradient, whose: str) -> float:
    norm = math.sqrt(_dot(gradient, gradient))
    if not math.isfinite(norm):
        raise ValueError(f"the gradient of {whose} is not finite: the model has diverged")
    return norm


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
