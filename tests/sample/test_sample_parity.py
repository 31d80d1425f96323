"""New weights in an engine, and the check that it serves them."""

import pytest
import torch

from passatn.sample import HFEngine
from passatn.sample.parity import WeightParityError, check_parity, named_tensors, update_weights
from passatn.tasks.encoding import EncodedExample
from tiny import build_model, build_tokenizer

PROBES = [EncodedExample((3, 4, 5), (6, 1)), EncodedExample((7,), (8, 9, 1))]


@pytest.mark.parametrize("tied", [False, True])
def test_weights_from_a_model_and_from_a_checkpoint(tied, tmp_path):
    engine = HFEngine(build_model(tie_word_embeddings=tied), build_tokenizer())
    new = build_model(seed=1, tie_word_embeddings=tied)
    with pytest.raises(WeightParityError, match=r"engine gives log p = -\d+\.\d+ for probe \d .* gives -\d+\.\d+"):
        check_parity(engine, new, PROBES)
    assert update_weights(engine, new, PROBES) == 0
    newest = build_model(seed=2, tie_word_embeddings=tied)
    newest.save_pretrained(tmp_path)
    assert update_weights(engine, newest, PROBES, checkpoint=tmp_path) == 0
    with pytest.raises(WeightParityError):
        update_weights(engine, new, PROBES, checkpoint=tmp_path)


def test_an_engine_that_ignores_new_weights_is_caught():
    class Deaf(HFEngine):
        def update_weights(self, weights):
            """Report success and do nothing."""

    with pytest.raises(WeightParityError, match="does not serve the new weights"):
        update_weights(Deaf(build_model(), build_tokenizer()), build_model(seed=1), PROBES)


def test_nan_scores_never_pass():

    class Nan(HFEngine):
        def score(self, examples, **options):
            return super().score(examples, **options) * float("nan")

    with pytest.raises(WeightParityError):
        check_parity(Nan(build_model(), build_tokenizer()), build_model(), PROBES)


def test_weights_of_another_model_are_refused():
    engine = HFEngine(build_model(), build_tokenizer())
    with pytest.raises(ValueError, match="weights do not fit the model"):
        engine.update_weights(build_model(hidden_size=32).state_dict())
    with pytest.raises(ValueError, match=r"weights do not fit the model: model\.norm\.weight is missing"):
        engine.update_weights([pair for pair in build_model().state_dict().items() if pair[0] != "model.norm.weight"])
    assert len(named_tensors({"a": torch.zeros(1)})) == 1


def test_a_check_needs_probes():
    with pytest.raises(ValueError, match="at least one probe"):
        check_parity(HFEngine(build_model(), build_tokenizer()), build_model(), [])
