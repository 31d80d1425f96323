"""The table of interpolated final trainings; the trainings themselves are in test_sweep_command.py."""

import numpy as np

from passatn.experiments.sweep.wise_ft import table


def record(arm, seed, itself, chosen, alpha):
    rows = [("α = 1", itself, 1.0), ("α chosen", chosen, alpha)]
    return {
        "arm": arm,
        "seed": seed,
        "chosen": [{"n": 1, "which": which, "alpha": a, "log_p": np.log(p).tolist()} for which, p, a in rows],
    }


def test_gains_are_paired_by_seed():
    made = [record("CE", 0, [0.1, 0.2], [0.2, 0.3], 0.5), record("CE", 1, [0.3, 0.2], [0.3, 0.2], 1.0)]
    made += [record("DCO", 1, [0.4, 0.4], [0.5, 0.5], 0.8), record("DCO", 0, [0.9, 0.9], [0.9, 0.9], 1.0)]
    shown = table(made, [1])
    assert shown.startswith("2 problems, 2 seeds\n")
    ce, dco = (line.split(" | ") for line in shown.splitlines()[4:])
    assert ce[:4] == ["| 1", "CE", "20.0 ± 7.1", "25.0 ± 0.0"]
    assert ce[4].startswith("+5.0 [")
    assert ce[5:] == ["+10.0, +0.0", "", "0.5, 1 |"]
    assert dco[4].startswith("+5.0 [")
    assert dco[5] == "+0.0, +10.0"
    assert dco[6].startswith("+45.0 [")
    assert dco[7] == "1, 0.8 |"
