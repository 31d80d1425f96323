"""Rewards from verifiers: the format that the prompt asks for, what is judged, and what is logged."""

import json

import pytest

from grpo_helpers import make_grpo
from passatn.tasks import Problem, PromptTemplate, get_template
from passatn.train.grpo_data import prompt_dataset
from passatn.verify.reward import VerifierReward
from passatn.verify.verdict import Outcome, Verdict
from train_helpers import training_logs

R1 = get_template("r1")
THREE_QUARTERS = Problem("p", "1/2 + 1/4?", ("3/4",), metadata={"level": 2, "tags": ["a"]})


def column(*problems):
    return [json.dumps(problem.to_record()) for problem in problems]


class Fixed:
    """A verifier that answers what the text says, and remembers what it was asked."""

    name, version = "fixed", "1"

    def __init__(self):
        self.asked, self.closed = [], False

    def verify(self, submissions):
        self.asked += [(submission.problem, submission.completion) for submission in submissions]
        return [Verdict(Outcome(submission.completion)) for submission in submissions]

    def close(self):
        self.closed = True


@pytest.mark.parametrize(
    ("text", "strict", "lenient"),
    [
        (" <think> a half and a quarter </think> <answer> 3/4 </answer>", 1, 1),
        (" <think> … </think> <answer>0.75</answer>", 1, 1),
        (" <think> … </think> <answer> 1/4 </answer>", 0, 0),
        ("The answer is 3/4", 0, 1),  # right, but not in the form that the prompt asks for
        ("3/4", 0, 1),
        (" <think> … </think> <answer> 3/4", 0, 1),  # cut off
        (r" \boxed{3/4} <answer> 1/4 </answer>", 0, 1),  # a verifier takes the box; the form has the tag
        (" <answer> 1/4 </answer> <answer> 3/4 </answer>", 1, 1),
        ("", 0, 0),
    ],
)
def test_only_answers_in_the_templates_form_are_rewarded(text, strict, lenient):
    reward = VerifierReward("math", R1)
    assert reward(["p"], [text], problem=column(THREE_QUARTERS)) == [strict]
    assert VerifierReward(reward.verifier, R1, strict=False)(["p"], [text], problem=column(THREE_QUARTERS)) == [lenient]
    reward.close()


def test_each_completion_is_judged_against_its_own_problem_and_failures_are_counted():
    verifier, metrics = Fixed(), {}
    reward = VerifierReward(verifier, R1)
    other = Problem("q", "2?", ("2",))
    states = ["correct", "incorrect", "timeout", "error", None, "correct"]
    texts = ["no tags" if state is None else f"<answer>{state}</answer>" for state in states]
    problems = [THREE_QUARTERS, THREE_QUARTERS, other, other, other, other]
    rewards = reward(["p"] * 6, texts, problem=column(*problems), log_metric=metrics.__setitem__)
    assert rewards == [1, 0, 0, 0, 0, 1]
    assert verifier.asked == [(p, s) for p, s in zip(problems, states, strict=True) if s is not None]
    assert metrics == {"answer_in_format": 5 / 6, "verifier_failed": 2 / 6}
    reward.close()
    assert verifier.closed


def test_messages_are_read_by_their_content():
    chat = PromptTemplate("c", completion="{reasoning} => {answer}", chat=True)
    reward = VerifierReward("exact", chat)
    completions = [[{"role": "assistant", "content": f"so => {answer}"}] for answer in ("3/4", "0.75")]
    assert reward([[]] * 2, completions, problem=column(THREE_QUARTERS, THREE_QUARTERS)) == [1, 0]


def test_the_data_set_holds_what_the_reward_needs():
    problems = [THREE_QUARTERS, Problem("q", "write f", (), "because", {"test": "assert f() == 2"})]
    rows = prompt_dataset(problems, R1)
    assert rows.column_names == ["prompt", "problem"]
    assert rows[0]["prompt"].endswith("User: 1/2 + 1/4?\nAssistant:")
    assert [Problem.from_record(json.loads(record)) for record in rows["problem"]] == problems
    chat = prompt_dataset(problems, PromptTemplate("c", "{prompt}!", chat=True, system="Be brief."))
    assert chat[0]["prompt"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1/2 + 1/4?!"},
    ]


def test_a_data_set_without_problems_is_an_error_that_says_how_to_make_one(tmp_path):
    with pytest.raises(ValueError, match=r"no column 'problem' to verify against; make it with .*prompt_dataset"):
        make_grpo(tmp_path, VerifierReward("exact", get_template("raw"))).train()


def test_training_on_verified_problems(tmp_path):
    """The tiny policy answers with one digit of its own accord; a unit step size makes it learn which."""
    template = PromptTemplate("t", "{prompt}=", "{answer}")
    problems = [Problem(str(i), f"{i}+{i % 3}", tuple("02468")) for i in range(24)]
    trainer = make_grpo(
        tmp_path,
        VerifierReward("exact", template),
        dataset=prompt_dataset(problems, template),
        max_completion_length=1,
        max_steps=12,
        learning_rate=1e-2,
    )
    trainer.train()
    logs = training_logs(trainer)
    assert logs[0]["rewards/exact/mean"] < 0.6 < logs[-1]["rewards/exact/mean"]
    assert logs[0]["answer_in_format"] <= 1
    assert logs[0]["verifier_failed"] == 0
