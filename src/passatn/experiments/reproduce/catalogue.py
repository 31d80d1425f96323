"""What can be reproduced: one entry per table and figure; nothing here imports more than the standard library."""

import difflib
from dataclasses import dataclass

FOLDER = "passatn.experiments.reproduce"


@dataclass(frozen=True)
class Entry:
    """One table or figure of the paper."""

    name: str
    title: str
    module: str
    """Has `recipe(context)`, `plan(context)` and `section(context)`."""

    @property
    def line(self) -> str:
        """As `--list` prints it."""
        return f"{self.name:<8}{self.title}"


ENTRIES = (
    Entry("table1", "cross-entropy: pass@N over training on direct answers", f"{FOLDER}.over_training"),
    Entry("table2", "theorem proving: pass@N by N_eff, and the ensemble", f"{FOLDER}.proof_ensemble"),
    Entry("table3", "chain of thought: cross-entropy, GRPO and DCOa", f"{FOLDER}.reasoning_table"),
    Entry("table4", "as table1 with a larger model", f"{FOLDER}.over_training"),
    Entry("table5", "as table1 on test problems of another kind (AIME24)", f"{FOLDER}.over_training"),
    Entry("table6", "theorem proving: pass@N by N_eff, and expert iteration", f"{FOLDER}.proof_table"),
    Entry("fig1", "greedy confidence over training, and accuracy where it is highest", f"{FOLDER}.confidence"),
    Entry("fig2", "pass@N by training N with the frontier; the weight F(N, p); search trees", f"{FOLDER}.frontier"),
    Entry("fig3", "chain of thought: confidence in the most frequent answer", f"{FOLDER}.reasoning_confidence"),
    Entry("fig4", "chain of thought: training examples discarded by step", f"{FOLDER}.discarded"),
    Entry("fig5", "which levels of difficulty still lower the test loss", f"{FOLDER}.easy_data"),
    Entry("fig11", "bounds on the optimal largest confidence, and the optimum", f"{FOLDER}.bounds"),
    Entry("fig12", "accuracy by confidence rank", f"{FOLDER}.ranks"),
    Entry("fig13", "the weight F(N, p) by level of difficulty", f"{FOLDER}.levels"),
)
NAMES = tuple(entry.name for entry in ENTRIES)


def find(name: str) -> Entry:
    """The entry of that name; ValueError, one line, lists the names, or says what a known one still needs."""
    for entry in ENTRIES:
        if entry.name == name:
            return entry
    if not name:
        raise ValueError(f"give the name of a table or figure: {', '.join(NAMES)}")
    close = difflib.get_close_matches(name, NAMES, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(NAMES)}"
    raise ValueError(f"nothing to reproduce is called {name!r}; {hint}")
