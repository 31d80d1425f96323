"""An engine as a model of tactics: one tokenisation, equal texts together, and what is too long set aside."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from passatn.prove.tactic_model import DrawnTactic, Draws, Question, TacticModel
from passatn.sample import Completion, HFEngine, SampleRequest, SamplingParams, score_completions
from passatn.sample.models import load_model
from passatn.tasks import Problem, encode_example, get_template
from tactic_files import TACTICS
from tiny_files import byte_tokenizer

STATE = "p : Prop\nh : p\n⊢ p"


class Scripted:
    """Gives fixed completions, and keeps what it was asked."""

    def __init__(self, completions: Sequence[tuple[str, float, bool]] = ()) -> None:
        self.completions = completions
        self.asked: list[SampleRequest] = []

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, *, progress: bool = False
    ) -> list[Completion]:
        self.asked += requests
        return [
            Completion(request.problem_id, k, (), text, log_p, 3, finished)
            for request in requests
            for k, (text, log_p, finished) in zip(params.indices_of(request), self.completions, strict=True)
        ]


def model(engine: Scripted, *, max_length: int | None = None, with_tokenizer: bool = True) -> TacticModel:
    params = SamplingParams(n=1, max_new_tokens=8, seed=0)
    return TacticModel(engine, byte_tokenizer() if with_tokenizer else None, params, max_length=max_length)  # type: ignore[arg-type]


def test_the_prompt_is_that_of_training() -> None:
    engine = Scripted([("rfl", -1.0, True)])
    model(engine).draw([Question("k", STATE, range(3, 4))])
    example = encode_example(byte_tokenizer(), get_template("tactic"), Problem("x", STATE, ("rfl",)))
    assert engine.asked == [SampleRequest("k", example.prompt_ids, indices=range(3, 4))]
    model(engine, with_tokenizer=False).draw([Question("k", STATE, range(1))])
    assert engine.asked[1] == SampleRequest("k", text=f"{STATE}:::", indices=range(1))


def test_equal_tactics_come_together_in_the_order_of_their_first_draws() -> None:
    drawn = [
        ("simp", -2.0, True),
        ("exact h", -1.0, True),
        (" simp\n", -1.5, True),
        ("by simp", -3.0, True),
        ("by by  simp", -9.0, True),
        ("simp", -1.0, False),
        (" \n", -4.0, True),
        ("cases h\n  rfl", -5.0, True),
    ]
    [draws] = model(Scripted(drawn)).draw([Question("k", STATE, range(len(drawn)))])
    assert draws == Draws(
        (
            DrawnTactic("simp", 4, -1.5),
            DrawnTactic("exact h", 1, -1.0),
            DrawnTactic("", 1, -4.0),
            DrawnTactic("cases h\n  rfl", 1, -5.0),
        ),
        num_unfinished=1,
    )


def test_states_that_leave_no_room_for_a_tactic_are_not_asked_about() -> None:
    engine = Scripted([("rfl", -1.0, True)])
    length = len(encode_example(byte_tokenizer(), get_template("tactic"), Problem("x", STATE, ("r",))).prompt_ids)
    questions = [Question("short", "⊢ p", range(1)), Question("long", STATE, range(1))]
    assert [draws is None for draws in model(engine, max_length=length + 7).draw(questions)] == [False, True]
    assert [draws is None for draws in model(engine, max_length=length + 8).draw(questions)] == [False, False]
    assert model(Scripted(), max_length=9).draw(questions) == [None, None]
    assert [request.problem_id for request in engine.asked] == ["short", "short", "long"]


def test_a_real_engine_draws_by_key_and_knows_log_p(tactic_model: Path) -> None:
    loaded, tokenizer = load_model(str(tactic_model))
    tactics = TacticModel(HFEngine(loaded, tokenizer), tokenizer, SamplingParams(n=1, max_new_tokens=4, seed=0))
    one, two = tactics.draw([Question("a", STATE, range(64)), Question("b", STATE, range(64))])
    assert tactics.draw([Question("b", STATE, range(64)), Question("a", STATE, range(64))])[0] == two
    assert one is not None
    assert two is not None
    assert one.tactics != two.tactics
    assert sum(tactic.count for tactic in one.tactics) + one.num_unfinished == 64
    known = [tactic for tactic in one.tactics if tactic.text in TACTICS]
    assert len(known) > 5
    examples = [encode_example(tokenizer, get_template("tactic"), Problem("x", STATE, (t.text,))) for t in known]
    expected = score_completions(loaded, examples)[:, 0]
    assert [tactic.log_prob for tactic in known] == pytest.approx(expected, abs=1e-4)


def test_a_chat_needs_the_tokenizer() -> None:
    with pytest.raises(ValueError, match="template 'chat' is a chat"):
        TacticModel(Scripted(), None, SamplingParams(n=1, max_new_tokens=1, seed=0), template=get_template("chat"))  # type: ignore[arg-type]
