"""The table of final trainings on other problems; the trainings themselves are in test_sweep_command.py."""

import numpy as np

from passatn.experiments.sweep.transfer import table


def test_arms_are_compared_where_they_have_the_same_seeds():
    def record(arm, seed, *probabilities):
        return {"arm": arm, "seed": seed, "log_p": np.log(probabilities).tolist()}

    made = [
        record("CE", 0, 0.1, 0.2),
        record("CE", 1, 0.3, 0.2),
        record("DCO", 1, 0.4, 0.4),
        record("DCO", 2, 0.9, 0.9),
    ]
    lines = table(made, [1]).splitlines()
    assert lines[2].startswith("| 1 | CE | 2 | 20.0 ± 7.1 |")
    assert lines[3].startswith("| 1 | DCO | 2 | 65.0 ± 35.4 | +15.0 [")
    assert lines[3].endswith("| +15.0 |")
