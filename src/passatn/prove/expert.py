"""What a model learns from the proofs that it found: which proofs to keep, and their steps as training examples.

Expert iteration (arXiv 2502.07154, section 5.3 and table 6): prove theorems that have no proof, add the proofs, train
again from the base model. The paper does not say which of a theorem's proofs it adds. The default here is the shortest,
and of equally short ones the most probable: each needless step costs a factor of about N_eff in the number of samples
that find the proof again, and a search finds many proofs with steps that do nothing. The most probable proof
(`keep="probable"`) is what the model does already, so under a coverage objective it weighs least. One proof per
theorem by default, as in the data with known proofs: easy theorems have the most proofs, and would fill the data.

Only checked proofs are taken, and they are replayed, since a record holds tactics and no states.
"""

from collections.abc import Iterable, Sequence

from passatn.lean import Goal, GoalError, LeanSession
from passatn.prove.analysis import Keep, choose_proofs
from passatn.prove.records import SearchRecord
from passatn.prove.theorem import theorems_of
from passatn.prove.trace import TraceError, tactic_problems, trace_proof
from passatn.tasks.problem import Problem, ProblemError


def found_steps(
    lean: LeanSession, records: Iterable[SearchRecord], *, keep: Keep = "shortest", limit: int = 1
) -> tuple[list[Problem], list[str]]:
    """The steps of the proofs that are kept, one problem each, and a line for each proof that does not replay.

    `lean` is to be one that accepts the statements, such as the one that the proofs were found with.
    The group of a proof's steps, and the beginning of their ids, is `THEOREM/found-1` and so on.
    """
    problems, notices = [], []
    for record in records:
        goal = Goal(record.statement, record.header)
        for number, proof in enumerate(choose_proofs(record, keep=keep, limit=limit), start=1):
            try:
                trace = trace_proof(lean, goal, proof.tactics)
            except TraceError as error:
                notices.append(f"left out, a found proof that does not replay: {error}")
                continue
            except GoalError as error:
                notices.append(f"left out, a found proof that does not replay: {record.theorem}: {error}")
                continue
            name = f"{record.theorem}/found-{number}"
            problems += tactic_problems(trace, name=name, theorem=record.theorem, is_found=True)
    return problems, notices


def known_steps(lean: LeanSession, problems: Sequence[Problem]) -> list[Problem]:
    """The steps of theorems whose metadata holds a `proof`, a list of tactics.

    Raises:
        ProblemError: a theorem without a proof, or one whose proof does not replay; names the problem.
    """
    steps = []
    for problem, theorem in zip(problems, theorems_of(problems), strict=True):
        tactics = problem.metadata.get("proof")
        if not isinstance(tactics, list) or not tactics or not all(isinstance(tactic, str) for tactic in tactics):
            raise ProblemError(f"problem {problem.id!r}: expected a list of tactics under `proof` in the metadata")
        try:
            trace = trace_proof(lean, theorem.goal, tactics)
        except (TraceError, GoalError) as error:
            raise ProblemError(f"problem {problem.id!r}: {error}") from None
        steps += tactic_problems(trace, name=theorem.name)
    return steps
