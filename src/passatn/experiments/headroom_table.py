"""How much the best policy for N samples gains over a tuned temperature, if answers are right as often as Zipf says.

python -m passatn.experiments.headroom_table --n 256
"""

import argparse

from passatn.coverage.headroom import headroom, zipf
from passatn.experiments.seed_tables import markdown

EXPONENTS = (0.8, 1.0, 1.3, 1.6, 2.0)
ANSWERS = (1000, 100_000)


def table(n: int) -> str:
    """Markdown: percent of pass@n, one row a distribution of accuracies over answers."""
    head = ["answers", "exponent", "calibrated", "best temperature", "and best cut", "optimum", "N distinct answers"]
    rows = [head]
    for number in ANSWERS:
        for exponent in EXPONENTS:
            of = headroom(zipf(number, exponent), n)
            shares = (of.calibrated, of.tempered, of.cut, of.optimum, of.distinct)
            cells = [f"{100 * share:.1f}" for share in shares]
            cells[1] += f" (T = {of.temperature:.2f})"
            rows.append([f"{number:,}", f"{exponent:g}", *cells])
    return markdown(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=256)
    print(table(parser.parse_args().n), end="")


if __name__ == "__main__":
    main()
