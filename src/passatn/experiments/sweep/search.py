"""Which point of its space an arm tries next, and whether a trial goes on: decided by optuna, from our records alone.

Trial k's suggestion depends on the sweep's seed, on k and on the records of the arm's trials before it, and on nothing
else: a study is made anew for each and told what happened so far. A sweep that was killed so goes on as if it had not
been. The first half of the points is drawn at random, whatever was found before, the same points for every arm where
spaces agree: these trials can run side by side.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from passatn.experiments.config import ConfigError
from passatn.experiments.sweep.space import Dimension
from passatn.experiments.sweep.spec import Arm, Params, SweepSpec
from passatn.experiments.sweep.training import Record

HALVING = 2
"""Of the trials that get as far as 1, 2, 4, … epochs, the better 1/HALVING go on."""


def needs_optuna(spec: SweepSpec) -> bool:
    return spec.search == "tpe" or spec.pruner == "asha"


def check_optuna() -> None:
    """Raises ConfigError naming the extra."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise ConfigError("this search needs the package optuna: pip install 'passatn[sweep]'") from None


def suggest(spec: SweepSpec, arm: Arm, number: int, earlier: Sequence[Record]) -> Params:
    """The point of the arm's trial `number`, given those before it; the first `spec.num_random` do not need them."""
    if spec.search == "grid":
        return arm.grid()[number]
    study = _study(spec, arm, number, earlier)
    return _in_order(arm, study.ask(_distributions(arm)).params)


def should_stop(spec: SweepSpec, arm: Arm, earlier: Sequence[Record], params: Params, scores: Sequence[float]) -> bool:
    """Whether a trial at this point, with these scores after its epochs so far, is not worth going on with."""
    if spec.pruner == "none" or not scores:
        return False
    study = _study(spec, arm, len(earlier), earlier)
    return _run(study, arm, params, scores)[1]


def _study(spec: SweepSpec, arm: Arm, number: int, earlier: Sequence[Record]) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = int.from_bytes(hashlib.sha256(f"{spec.search_seed} {number}".encode()).digest()[:4])
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=spec.num_random)
    pruner: Any = optuna.pruners.NopPruner()
    if spec.pruner == "asha":
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=HALVING)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    for record in earlier:
        scores = record.scores.curve(spec.target_column)
        trial, _ = _run(study, arm, record.params, scores)
        if record.is_pruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, max(scores))
    return study


def _run(study: Any, arm: Arm, params: Params, scores: Sequence[float]) -> tuple[Any, bool]:
    """A trial at a given point with given scores, and whether the pruner would end it after the last of them."""
    study.enqueue_trial(params)
    trial = study.ask(_distributions(arm))
    ends = False
    for epoch, score in enumerate(scores, start=1):
        trial.report(score, epoch)
        ends = trial.should_prune()
    return trial, ends


def _distributions(arm: Arm) -> dict[str, Any]:
    return {dimension.name: _distribution(dimension) for dimension in arm.space}


def _distribution(dimension: Dimension) -> Any:
    import optuna

    if dimension.values:
        return optuna.distributions.CategoricalDistribution(dimension.values)
    if dimension.is_whole:
        return optuna.distributions.IntDistribution(int(dimension.low), int(dimension.high), log=dimension.is_log)
    return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.is_log)


def _in_order(arm: Arm, params: Params) -> Params:
    return {dimension.name: params[dimension.name] for dimension in arm.space}
