"""The table of final trainings on other problems; the trainings themselves are in test_sweep_command.py."""

import numpy as np

from passatn.experiments.sweep.transfer import table


def test_arms_are_compared_seed_by_seed():
    def record(arm, seed, *probabilities):
        return {"arm": arm, "seed": seed, "log_p": np.log(probabilities).tolist()}

    made = [record("CE", 0, 0.1, 0.2), record("CE", 1, 0.3, 0.2)]
    made += [record("DCO", 1, 0.4, 0.4), record("DCO", 0, 0.9, 0.9)]
    shown = table(made, [1, 2])
    assert shown.startswith("2 problems, 2 seeds\n")
    lines = shown.splitlines()[4:]
    assert lines[0].startswith("| 1 | CE | 20.0 ± 7.1 |")
    assert lines[1].startswith("| 1 | DCO | 65.0 ± 35.4 | +45.0 [")
    assert lines[1].endswith("| +75.0, +15.0 |")
    assert lines[2].startswith(f"| 2 | CE | {25 * (4 - 0.81 - 0.64 - 0.49 - 0.64):.1f} ±")
