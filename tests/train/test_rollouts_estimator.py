"""Success rates by roll-outs: unbiased, reproducible, used again only while young, verified beside generation."""

import json
import math
import threading

import pytest
from accelerate import Accelerator
from datasets import Dataset

from passatn.sample import HFEngine, score_completions
from passatn.tasks import Problem, PromptTemplate, get_template
from passatn.train import reasoning_dataset
from passatn.train import rollouts as rollouts_module
from passatn.train.rollout_data import Candidates
from passatn.train.rollout_stopping import stopping_rule
from passatn.train.rollouts import Estimate, RolloutEstimator, rollout_seed
from passatn.verify.exact import ExactVerifier
from passatn.verify.verdict import Outcome, Verdict
from rollout_helpers import TEMPLATE, CountingEngine, EndsWell, character_tokenizer, exact_success, make_problems
from tiny import build_model


def make_candidates(problems, template=TEMPLATE):
    tokenizer, rows = character_tokenizer(), []
    for row in reasoning_dataset(problems, template):
        prompt, completion = (tokenizer(row[name])["input_ids"] for name in ("prompt", "completion"))
        ids = [*prompt, *completion, tokenizer.eos_token_id]
        labels = [-100] * len(prompt) + ids[len(prompt) :]
        rows.append({"input_ids": ids, "labels": labels, "problem": row["problem"]})
    return Candidates(Dataset.from_list(rows))


def make_estimator(*, engine=None, verifier=None, candidates=None, n=16, error=None, max_correct=4, seed=0, **options):
    return RolloutEstimator(
        CountingEngine(build_model(), character_tokenizer()) if engine is None else engine,
        EndsWell() if verifier is None else verifier,
        make_candidates(make_problems(8)) if candidates is None else candidates,
        stopping_rule(n, max_correct, error),
        Accelerator(cpu=True),
        seed=seed,
        max_new_tokens=options.pop("max_new_tokens", 3),
        **options,
    )


# ---- unbiased ----


def test_the_success_rate_is_that_of_all_reasoning_together():
    """p(y|x) by enumerating every completion of at most three tokens; 2,500 roll-outs, 4 standard errors."""
    model, n = build_model(), 2500
    problems, candidates = make_problems(8), make_candidates(make_problems(8))
    estimates = make_estimator(engine=HFEngine(model, character_tokenizer()), n=n).estimate(list(range(8)), 0)
    exact = [
        exact_success(model, candidates.encoded(i).prompt_ids, problem.answers, 3) for i, problem in enumerate(problems)
    ]
    assert max(exact) > 0.08
    assert min(exact) < 0.01
    for estimate, p in zip(estimates, exact, strict=True):
        assert estimate.num_rollouts == n
        assert abs(estimate.p_hat - p) <= 4 * math.sqrt(p * (1 - p) / n)


def test_direct_answers_have_the_probability_that_scoring_gives():
    model, n = build_model(), 3000
    problems = [Problem(str(i), f"{i}+1=", (digit,)) for i, digit in enumerate("0369")]
    candidates = make_candidates(problems, PromptTemplate("direct", "{prompt}", "{answer}"))
    estimator = make_estimator(
        engine=HFEngine(model, character_tokenizer()), verifier=ExactVerifier(), candidates=candidates, n=n
    )
    exact = [math.exp(x) for x in score_completions(model, [candidates.encoded(i) for i in range(4)])[:, 0]]
    assert max(exact) > 5 / n
    for estimate, p in zip(estimator.estimate([0, 1, 2, 3], 0), exact, strict=True):
        assert abs(estimate.p_hat - p) <= 4 * math.sqrt(p * (1 - p) / n)


def test_the_most_frequent_answer_is_counted_over_all_reasoning_and_spellings():
    class Scripted(EndsWell):
        """Of ten completions three are right in two spellings, four say 7 in two spellings, two say 8, one nothing."""

        def verify(self, submissions):
            right = [Verdict(Outcome.CORRECT, text) for text in ("1/2", "0.5", "1/2")]
            wrong = [Verdict(Outcome.INCORRECT, text) for text in ("7", "7.0", "7", "7.0", "8", "8", None)]
            return [(right + wrong)[i % 10] for i in range(len(submissions))]

    class Talkative(CountingEngine):
        """Its completions all end."""

        def sample(self, requests, params, *, progress=False):
            return [
                c.__class__(c.problem_id, c.index, (1,), "x", 0.0, 1, True) for c in super().sample(requests, params)
            ]

    engine = Talkative(build_model(), character_tokenizer())
    options = {"engine": engine, "verifier": Scripted(), "n": 10}
    by_value, by_text = make_estimator(**options, answer_key=float), make_estimator(**options, answer_key=str)
    assert by_value.estimate([0], 0) == [Estimate(3, 10, num_most_frequent=4, keep=True, step=0)]
    assert by_text.estimate([0], 0)[0].num_most_frequent == 3, "the right ones are one answer in any case"


def test_failures_and_cut_completions_are_wrong_and_counted():
    class Failing(EndsWell):
        def verify(self, submissions):
            self.asked += [(s.problem.id, s.completion) for s in submissions]
            return [Verdict([Outcome.TIMEOUT, Outcome.ERROR][i % 2], None) for i in range(len(submissions))]

    verifier = Failing()
    estimator = make_estimator(verifier=verifier)
    estimates = estimator.estimate(list(range(8)), 0)
    counts = estimator.take_counts()
    assert {(e.num_correct, e.num_most_frequent) for e in estimates} == {(0, 0)}
    assert counts.drawn == 8 * 16
    assert 0 < counts.failed == len(verifier.asked) == counts.drawn - counts.truncated < counts.drawn


# ---- reproducible ----


def test_rollouts_are_a_function_of_seed_step_and_candidate():
    def counts(order, seed=0, step=3):
        estimator = make_estimator(seed=seed, n=64)
        return {c: e for part in order for c, e in zip(part, estimator.estimate(part, step), strict=True)}

    together = counts([list(range(8))])
    assert counts([[5], [7, 0, 1], [2, 6, 4, 3]]) == together
    assert counts([list(range(8))], seed=1) != together
    assert {c: e.num_correct for c, e in counts([list(range(8))], step=4).items()} != {
        c: e.num_correct for c, e in together.items()
    }


def test_seeds_of_steps_do_not_meet():
    seeds = {rollout_seed(seed, step) for seed in range(30) for step in range(30)}
    assert len(seeds) == 900
    assert max(seeds) < 2**62


def test_looks_continue_the_same_rollouts():
    """A rule that looks eight times draws, in the end, the roll-outs of the rule that looks once."""
    once, often = EndsWell(), EndsWell()
    make_estimator(verifier=once, n=16, max_correct=4).estimate([3, 5], 0)
    estimator = make_estimator(verifier=often, n=16, max_correct=4, error=1e-12)
    estimator.estimate([3, 5], 0)
    assert estimator._engine.calls[0][1:3] == (0, 2)
    assert sorted(often.asked) == sorted(once.asked)


# ---- stopping, jobs, overlap ----


def test_decided_candidates_are_not_drawn_further_and_the_decision_is_that_of_all_rollouts():
    all_right = [Problem(str(i), f"{i}+1", tuple("0123456789abcde+=")) for i in range(4)]
    candidates = make_candidates(all_right)
    options = {"candidates": candidates, "n": 64, "max_correct": 3, "max_new_tokens": 12}
    full = make_estimator(**options)
    stopped = make_estimator(**options, error=0.05)
    everything, fewer = full.estimate([0, 1, 2, 3], 0), stopped.estimate([0, 1, 2, 3], 0)
    assert [e.keep for e in fewer] == [e.keep for e in everything] == [False] * 4
    assert full.take_counts().drawn == 256
    counts = stopped.take_counts()
    assert counts.drawn == sum(e.num_rollouts for e in fewer) < 100
    assert counts.drawn + counts.saved_by_stopping == 256
    last_ids = stopped._engine.calls[-1][0]
    assert len(last_ids) == sum(e.num_rollouts == max(f.num_rollouts for f in fewer) for e in fewer)


def test_verification_of_one_job_runs_beside_the_generation_of_the_next(monkeypatch):
    """The verifier of the first job waits until the second job is being generated, which a sequence would never do."""
    monkeypatch.setattr(rollouts_module, "ROLLOUTS_PER_JOB", 32)
    second_job = threading.Event()

    class Engine(CountingEngine):
        def sample(self, requests, params, *, progress=False):
            if self.calls:
                second_job.set()
            return super().sample(requests, params)

    class Waiting(EndsWell):
        def verify(self, submissions):
            assert second_job.wait(timeout=20)
            return super().verify(submissions)

    verifier, engine = Waiting(), Engine(build_model(), character_tokenizer())
    estimator = make_estimator(engine=engine, verifier=verifier, n=16)
    estimator.estimate(list(range(6)), 0)
    assert [len(ids) for ids, *_ in engine.calls] == [2, 2, 2]
    assert threading.get_ident() not in verifier.threads
    assert {name for name in ("sampling", "verifying", "waiting") if estimator.stopwatch.take(name) > 0} == {
        "sampling",
        "verifying",
        "waiting",
    }
    assert estimator.stopwatch.take("sampling") == 0, "taken already"


def test_an_engine_that_works_at_several_jobs_is_given_all_of_them(monkeypatch):
    monkeypatch.setattr(rollouts_module, "ROLLOUTS_PER_JOB", 32)

    class Concurrent(CountingEngine):
        def sample_jobs(self, jobs):
            yield from reversed([(number, self.sample(*job)) for number, job in enumerate(jobs)])

    engine = Concurrent(build_model(), character_tokenizer())
    assert make_estimator(engine=engine).estimate(list(range(8)), 0) == make_estimator().estimate(list(range(8)), 0)


# ---- age ----


def test_estimates_are_used_again_while_young_and_then_made_anew():
    estimator = make_estimator(max_age=2)
    first = estimator.estimate([0, 1], 5)
    assert estimator.estimate([1, 0, 1], 7) == [first[1], first[0], first[1]]
    mixed = estimator.estimate([0, 2], 7)
    assert mixed[0] == first[0]
    assert mixed[1].step == 7
    assert [call[0] for call in estimator._engine.calls] == [["0", "1"], ["2"]]
    assert estimator.take_counts().saved_by_reuse == 16 * (2 + 1)
    again = estimator.estimate([0, 2], 8)
    assert [e.step for e in again] == [8, 7]
    assert estimator._engine.calls[-1][0] == ["0"]


def test_without_a_window_every_step_has_its_own_estimates():
    estimator = make_estimator()
    estimator.estimate([0], 0)
    estimator.estimate([0], 0)
    estimator.estimate([0], 1)
    assert len(estimator._engine.calls) == 2
    seeds = [call[3] for call in estimator._engine.calls]
    assert seeds == [rollout_seed(0, 0), rollout_seed(0, 1)]


def test_the_state_is_json_and_continues():
    estimator = make_estimator(max_age=3)
    made = estimator.estimate([4, 2], 1)
    state = json.loads(json.dumps(estimator.state_dict()))
    other = make_estimator(max_age=3)
    other.load_state_dict(state)
    assert other.estimate([2, 4], 4) == made[::-1]
    assert other._engine.calls == []
    assert other.estimate([2], 5)[0].step == 5


def test_an_engine_of_its_own_gets_the_weights_once_per_step_in_which_it_draws():
    sent = []
    estimator = make_estimator(max_age=1, update_engine=lambda: sent.append(len(estimator._engine.calls)))
    estimator.estimate([0], 0)
    estimator.estimate([1], 0)
    assert sent == [0]
    estimator.estimate([0, 1], 1)
    assert sent == [0], "nothing is drawn, so nothing is sent"
    estimator.estimate([2], 1)
    estimator.estimate([0], 2)
    assert sent == [0, 2, 3]
    estimator.load_state_dict({})
    estimator.estimate([0], 2)
    assert len(sent) == 4, "after a resume the engine has other weights"


# ---- data ----


def test_reasoning_data_has_what_training_and_verification_need():
    problems = [
        Problem("p", "1/2 + 1/4?", ("3/4", "0.75"), "a half and a quarter", {"level": 2}),
        Problem("q", "2?", ("2",)),
    ]
    rows = reasoning_dataset(problems, get_template("r1"))
    assert rows.column_names == ["prompt", "problem", "completion"]
    assert rows[0]["completion"] == " <think> a half and a quarter </think> <answer> 3/4 </answer>"
    assert rows[0]["prompt"].endswith("User: 1/2 + 1/4?\nAssistant:")
    assert [Problem.from_record(json.loads(record)) for record in rows["problem"]] == problems
    chat = reasoning_dataset(problems[:1], PromptTemplate("c", completion="{reasoning} => {answer}", chat=True))
    assert chat[0]["completion"] == [{"role": "assistant", "content": "a half and a quarter => 3/4"}]
    with pytest.raises(ValueError, match="problem 'f' has no accepted answer to train on"):
        reasoning_dataset([Problem("f", "write f", (), None, {"test": "assert f()"})], get_template("r1"))
    with pytest.raises(ValueError, match="there are no problems"):
        reasoning_dataset([], get_template("r1"))


def test_candidates_split_examples_at_the_first_label():
    candidates = make_candidates(make_problems(6))
    encoded, tokenizer = candidates.encoded(5), character_tokenizer()
    assert tokenizer.decode(encoded.prompt_ids) == "5+5="
    assert tokenizer.decode(encoded.completion_ids) == "a=e<eos>"
    assert candidates.num_tokens([5, 1]) == 8
    assert candidates.longest_completion == max(len(candidates.encoded(i).completion_ids) for i in range(6))
