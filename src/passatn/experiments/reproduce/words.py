"""What was run, in a sentence or two, for the page."""

from collections.abc import Sequence

from passatn.experiments.reproduce.direct import Direct

_PROBLEMS = {
    "test": "Test problems share no operand pair with training.",
    "other": (
        "Test problems of another kind: both A and B from 80, where training has both below 80; the base model saw "
        "such operands in pre-training."
    ),
}


def setting_of(stages: Direct, objectives: Sequence[str], which: str = "test") -> str:
    """Model, data, schedule and objectives."""
    recipe, settings = stages.recipe, stages.recipe.settings
    how = (
        f"{settings['num_train_epochs']} epochs, batch {_batch(stages)}, learning rate {settings['learning_rate']:g}, "
        f"by {', '.join(objectives)}"
    )
    if recipe.mini is not None:
        sizes = recipe.mini
        return (
            f"Mini-MATH: a Llama of width {sizes.hidden_size} and {sizes.num_layers} layers is pre-trained in "
            f"{sizes.pretrain_steps:,} steps of {sizes.pretrain_batch} problems; its ten function embeddings are drawn "
            f"anew, and it is fine-tuned on {sizes.num_train:,} problems with direct answers, {how}. "
            f"{_PROBLEMS[which]} pass@N is exact, by scoring the one right answer."
        )
    assert recipe.model is not None
    test = "AIME24" if which == "other" else "the test split of MATH"
    return (
        f"{stages.base}, MATH direct answers, {how}; tested on {test}. pass@N is computed from the probability of the "
        "accepted answer, a lower bound on that of all correct ones."
    )


def _batch(stages: Direct) -> int:
    processes = stages.recipe.machine.count if stages.recipe.engine else 1
    return int(stages.recipe.settings["per_device_train_batch_size"]) * processes
