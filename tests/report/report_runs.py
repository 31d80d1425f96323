"""Made-up runs for the tests of the report."""

import numpy as np

from passatn.evaluate import Results, problems_from_arrays

NS = [1, 4, 16, 64, 256]


def make_run(name: str, n_passes: float, *, mean: float, spread: float, num_problems: int = 60) -> Results:
    """A run whose log-probabilities are normal with this mean and spread, with samples and greedy answers."""
    rng = np.random.default_rng(int(n_passes))
    log_p = np.minimum(mean + spread * rng.normal(size=num_problems), -1e-3)
    log_p[0] = -np.inf
    problems = problems_from_arrays(
        [f"problem {index}" for index in range(num_problems)],
        log_p=log_p,
        is_exact=True,
        greedy_log_p=np.log(rng.beta(1, 3, size=num_problems)),
        greedy_correct=rng.random(num_problems) < 0.1,
        num_samples=16,
        num_correct=rng.binomial(16, np.exp(log_p)),
        num_truncated=0,
    )
    return Results.from_problems({"name": name, "n_passes": n_passes, "seed": 0}, problems, NS)


def make_runs() -> list[Results]:
    """Cross-entropy and two coverage objectives whose curves cross."""
    return [
        make_run("CE", 1, mean=-6, spread=4),
        make_run("DCO-64", 64, mean=-5.5, spread=2.5),
        make_run("DCO-256", 256, mean=-5.2, spread=1.5),
    ]
