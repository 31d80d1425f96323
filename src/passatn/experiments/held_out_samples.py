"""pass@N of held-out problems while a model is trained with reasoning: k samples each, verified, after each epoch.

From c correct ones of k samples the estimate is the unbiased 1 − C(k − c, N) / C(k, N), N ≤ k (`coverage.pass_at_n`).
Sample i of a problem uses the same random numbers at every evaluation, which makes changes easier to see, and none of
the training's, which goes on as if nothing had been sampled.
"""

from collections.abc import Sequence
from typing import Any

import torch.distributed as dist
from transformers import TrainerCallback, TrainerState

from passatn.evaluate import Results, problems_from_arrays
from passatn.evaluate.callback import log_as_evaluation
from passatn.experiments.config import RunConfig
from passatn.experiments.counting import count_outcomes
from passatn.experiments.problems import PromptedProblems
from passatn.experiments.run_directory import RunDirectory
from passatn.sample import HFEngine, SampleRequest, SamplingParams
from passatn.train import CoverageGRPOTrainer
from passatn.verify.verdict import Verifier


class HeldOutSamples(TrainerCallback):
    """Each evaluation is a file of its own, so that a resumed run has them all.

    Args:
        trainer: whose model is sampled, as it is while it is trained: its temperature, its longest completion.
        verifier: judges what is sampled; a completion that did not end is not correct.
    """

    def __init__(
        self,
        trainer: CoverageGRPOTrainer,
        problems: PromptedProblems,
        verifier: Verifier,
        config: RunConfig,
        run: RunDirectory,
    ) -> None:
        self.trainer, self.problems, self.verifier = trainer, problems, verifier
        self.config, self.run = config, run
        args = trainer.args
        assert args.max_completion_length is not None
        self.params = SamplingParams(
            n=config.eval_samples,
            max_new_tokens=args.max_completion_length,
            seed=args.seed,
            temperature=args.temperature,
            top_p=args.top_p,
            top_k=args.top_k,
        )

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Drop what a killed run had measured after its checkpoint: it will be measured again."""
        if state.is_world_process_zero:
            for path in self.run.evaluation_files():
                if path.name > self.run.evaluation_file(state.global_step).name:
                    path.unlink()

    def on_epoch_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self._evaluate(state)

    def on_epoch_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """The epoch before, where a run was killed between its checkpoint and the evaluation that follows it."""
        if state.global_step and float(state.epoch or 0).is_integer():
            self._catch_up(state)

    def on_train_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self._catch_up(state)

    def _catch_up(self, state: TrainerState) -> None:
        self.trainer.accelerator.wait_for_everyone()
        if not self.run.evaluation_file(state.global_step).exists():
            self._evaluate(state)

    def _evaluate(self, state: TrainerState) -> None:
        results = self._results(state, self._count())
        if state.is_world_process_zero:
            results.save(self.run.evaluation_file(state.global_step))
        curve = results.pass_at_n[0]
        log_as_evaluation(self.trainer, {f"eval_pass@{n}": p for n, p in zip(curve.ns, curve.estimate, strict=True)})

    def _count(self) -> dict[str, list[int]]:
        """Counts of all problems, in their order; processes share the work."""
        rank, world = self.trainer.accelerator.process_index, self.trainer.accelerator.num_processes
        mine = self._count_some(self.problems.requests[rank::world])
        if world == 1:
            return mine
        parts: list[Any] = [None] * world
        dist.all_gather_object(parts, mine)
        counts = {name: [0] * len(self.problems.requests) for name in next(part for part in parts if part)}
        for number, part in enumerate(parts):
            for name, values in part.items():
                counts[name][number::world] = values
        return counts

    def _count_some(self, requests: Sequence[SampleRequest]) -> dict[str, list[int]]:
        if not requests:
            return {}
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        tokenizer: Any = self.trainer.processing_class
        completions = HFEngine(model, tokenizer).sample(requests, self.params)
        by_id = self.problems.by_id()
        asked = {request.problem_id: by_id[request.problem_id] for request in requests}
        counts = count_outcomes(completions, asked, self.verifier, self.params.n)
        return counts | {"num_samples": [self.params.n] * len(requests)}

    def _results(self, state: TrainerState, counts: dict[str, list[int]]) -> Results:
        """One evaluation in the form of results.json."""
        problems = self.problems.problems
        facts = [{k: v for k, v in problem.metadata.items() if k in ("level", "subject")} for problem in problems]
        records = problems_from_arrays([problem.id for problem in problems], metadata=facts, **counts)
        description = {
            "name": self.run.path.name,
            "kind": "other",
            "objective": "grpo",
            "step": state.global_step,
            "epoch": float(state.epoch or 0.0),
            "model": self.config.model,
            "eval_data": self.config.eval_data,
            "verifier": f"{self.verifier.name}@{self.verifier.version}",
            "max_new_tokens": self.params.max_new_tokens,
        }
        shaped = {"temperature": self.params.temperature, "top_p": self.params.top_p}
        description |= {name: value for name, value in shaped.items() if value != 1}
        return Results.from_problems(description, records, ns=self.config.eval_ns)
