"""DCOa with the real vLLM engine as the one that draws the roll-outs: new weights before every step, checked."""

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed: it goes into an environment of its own, see CONTRIBUTING.md")

from passatn.sample.parity import WeightParityError, check_parity
from passatn.sample.vllm import VLLMEngine
from passatn.tasks import Problem, PromptTemplate, encode_example
from passatn.train import CoverageConfig, CoverageTrainer, reasoning_dataset
from passatn.verify.exact import ExactVerifier
from passatn.verify.stated import StatedAnswer
from tiny import build_model, build_tokenizer

TEMPLATE = PromptTemplate("steps", "{prompt}", "{reasoning}={answer}")
PROBLEMS = [Problem(f"p{n}", f"{n}+1=", (str(n + 1),), reasoning=f"{n}1") for n in range(8)]


def make_model():
    return build_model(hidden_size=64, num_attention_heads=2, num_key_value_heads=2)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_model().save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    engine = VLLMEngine(folder, build_tokenizer(), dtype="float32", max_model_len=64)
    yield engine
    engine.close()


def make_trainer(engine, folder):
    args = CoverageConfig(
        str(folder), n_passes=8, confidence="rollouts", num_rollouts=16, rollout_max_new_tokens=6, max_steps=3,
        per_device_train_batch_size=4, learning_rate=1e-2, lr_scheduler_type="constant", use_cpu=True, bf16=False,
        gradient_checkpointing=False, report_to="none", save_strategy="no", logging_steps=1, max_length=None,
        disable_tqdm=True,
    )  # fmt: skip
    return CoverageTrainer(
        make_model(),
        args=args,
        train_dataset=reasoning_dataset(PROBLEMS, TEMPLATE),
        processing_class=build_tokenizer(),
        verifier=StatedAnswer(ExactVerifier(), TEMPLATE),
        rollout_engine=engine,
    )


def test_roll_outs_come_from_the_weights_of_each_step(engine, tmp_path):
    trainer = make_trainer(engine, tmp_path)
    probes = [encode_example(build_tokenizer(), TEMPLATE, problem) for problem in PROBLEMS[:2]]
    seen = []
    sample = engine.sample

    def spy(*args, **kwargs):
        # At the moment of sampling, the engine has the trainer's weights of now.
        seen.append((trainer.state.global_step, check_parity(engine, trainer.model, probes)))
        return sample(*args, **kwargs)

    engine.sample = spy
    try:
        trainer.train()
    finally:
        del engine.sample
    assert {step for step, _ in seen} == {0, 1, 2}
    assert max(difference for _, difference in seen) < 1e-4
    entries = [entry for entry in trainer.state.log_history if "surrogate_loss" in entry]
    assert [entry["rollouts_drawn"] >= 4 * 16 for entry in entries] == [True] * 3
    assert all(entry["seconds_transfer"] > 0 for entry in entries)
    # After the last step the engine has not been asked again, so it is one step behind.
    with pytest.raises(WeightParityError):
        check_parity(engine, trainer.model, probes)


def test_an_engine_that_does_not_take_the_weights_stops_the_training(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(engine._llm, "collective_rpc", lambda *args, **kwargs: [None])
    trainer = make_trainer(engine, tmp_path)
    with pytest.raises(WeightParityError, match="does not serve the new weights"):
        trainer.train()
