"""What a run on GPUs would take, from formulas: memory, hours. Nothing is measured, and the answer says so.

Per GPU, with P parameters trained in mixed precision by AdamW over G GPUs:

    weights        4 P bytes (float32)         / G under FSDP2 and ZeRO-3, whole under ZeRO-2
    gradients      4 P bytes                   / G
    optimiser      8 P bytes (two moments)     / G
    gathered layer 2 · 2 P / layers bytes      two layers in 16 bit at a time, where weights are sharded
    activations    2 · tokens · hidden · layers   the inputs of all layers, kept by gradient checkpointing
                   + 34 · tokens · hidden         one layer computed anew, attention without stored scores
    logits         6 · tokens · vocabulary     16 bit and float32, were they made whole; the fused head tiles them

`tokens` is those of one micro-batch, padding not counted. Hours: 6 · P · tokens seen / (G · FLOP/s · utilisation).
"""

from dataclasses import dataclass

GIB = 2**30
UTILISATION = 0.35
"""Share of the peak that training reaches; short sequences reach less."""


@dataclass(frozen=True)
class ModelShape:
    """A model as far as its costs go."""

    name: str
    parameters: float
    layers: int
    hidden: int
    vocabulary: int


@dataclass(frozen=True)
class Machine:
    """GPUs of one kind: dense 16-bit FLOP/s at the peak and memory, as the maker states them."""

    gpu: str
    flops: float
    gib: float
    count: int = 8


H100 = Machine("H100 80GB", 989e12, 80e9 / GIB)
B200 = Machine("B200 180GB", 2250e12, 180e9 / GIB)


@dataclass(frozen=True)
class Costs:
    """An estimate for one training run."""

    memory: dict[str, float]
    """GiB per GPU, part by part."""
    hours: float
    """Wall-clock of the training alone, on all GPUs together."""
    machine: Machine

    @property
    def total_gib(self) -> float:
        return sum(self.memory.values())

    @property
    def fits(self) -> bool:
        """Whether a tenth of the memory is left over."""
        return self.total_gib <= 0.9 * self.machine.gib

    @property
    def gpu_hours(self) -> float:
        return self.hours * self.machine.count


def estimate(
    model: ModelShape, machine: Machine, engine: str, *, micro_batch: int, tokens: float, examples: float
) -> Costs:
    """Costs of one run.

    Args:
        engine: fsdp2, zero3 or zero2.
        micro_batch: examples on one GPU at a time.
        tokens: mean length of an example.
        examples: seen in the whole run.

    Raises:
        ValueError: an unknown engine.
    """
    if engine not in ("fsdp2", "zero3", "zero2"):
        raise ValueError(f"engine must be fsdp2, zero3 or zero2, got {engine!r}")
    count, positions = machine.count, micro_batch * tokens
    is_sharded = engine != "zero2"
    parts = {
        "weights": 4 * model.parameters / (count if is_sharded else 1),
        "gradients": 4 * model.parameters / count,
        "optimiser states": 8 * model.parameters / count,
        "gathered layers": 4 * model.parameters / model.layers if is_sharded else 0.0,
        "activations": positions * model.hidden * (2 * model.layers + 34),
        "logits": 6 * positions * model.vocabulary,
    }
    seconds = 6 * model.parameters * tokens * examples / (count * machine.flops * UTILISATION)
    return Costs({name: value / GIB for name, value in parts.items()}, seconds / 3600, machine)
