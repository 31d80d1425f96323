"""The coverage objective in a TRL program: SFTTrainer's place is taken by CoverageTrainer.

python examples/with_trl.py
"""

from datasets import Dataset

from passatn.train import CoverageConfig, CoverageTrainer

problems = [{"prompt": f"{a} + {b} =", "completion": f" {a + b}"} for a in range(50) for b in range(20)]
trainer = CoverageTrainer(
    model="HuggingFaceTB/SmolLM2-135M",  # a name on the Hub, or a folder
    args=CoverageConfig("runs/with-trl", n_passes=64, max_steps=20, use_cpu=True, bf16=False),
    train_dataset=Dataset.from_list(problems),
)
trainer.train()
