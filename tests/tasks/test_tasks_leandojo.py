"""LeanDojo Benchmark 4 and plain files of tactics: one problem per step, with the proof that it belongs to."""

import json

import pytest

from passatn.tasks import ProblemError, get_template, keep_whole_groups, load_problems, render_completion, render_prompt

SPLIT = "case mp\np✝ q : Prop\n⊢ p → q\n\ncase mpr\n⊢ q → p"


def traced(state, tactic, after="no goals"):
    annotated = [f"<a>{tactic}</a>", [{"full_name": "And.intro", "def_path": "Init.lean", "def_pos": [1, 1]}]]
    return {"tactic": tactic, "annotated_tactic": annotated, "state_before": state, "state_after": after}


def theorem(name, *steps, file_path="A.lean"):
    place = {"url": "https://example.org/mathlib4", "commit": "29dc", "start": [3, 1], "end": [5, 9]}
    return place | {"file_path": file_path, "full_name": name, "traced_tactics": list(steps)}


def write(folder, rows, name="train.json"):
    path = folder / name
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text(f"[{', '.join(lines)}]" if name.endswith(".json") else "\n".join(lines), "utf-8")
    return path


def read(folder, rows, preset="tactics", **how):
    return load_problems(write(folder, rows, "train.json" if preset == "leandojo" else "t.jsonl"), preset=preset, **how)


def test_a_row_of_leandojo_is_a_problem_per_step(tmp_path):
    rows = [
        theorem("And.swap", traced(" p : Prop\n⊢ p  \n", "constructor", SPLIT), traced(SPLIT, "all_goals\n  simp\n"))
    ]
    first, second = read(tmp_path, rows, "leandojo")
    assert (first.id, first.prompt, first.answers) == ("And.swap#1", " p : Prop\n⊢ p", ("constructor",))
    assert (second.id, second.prompt, second.answers) == ("And.swap#2", SPLIT, ("all_goals\n  simp",))
    common = {"group_id": "And.swap", "theorem": "And.swap", "file_path": "A.lean", "num_steps": 2}
    assert [first.metadata, second.metadata] == [common | {"step": 1}, common | {"step": 2}]


def test_the_template_gives_the_form_of_the_paper(tmp_path):
    (step,) = read(tmp_path, [theorem("t", traced("h✝ : p\n⊢ p", "exact h✝"))], "leandojo")
    template = get_template("tactic")
    text = render_prompt(template, step.prompt) + render_completion(template, step.answers[0])
    assert text == "h✝ : p\n⊢ p:::exact h✝"


def test_theorems_of_the_same_name_stay_apart(tmp_path):
    step = traced("⊢ p", "simp")
    rows = [theorem("aux", step), theorem("aux", step, file_path="B.lean"), theorem("aux", step, file_path="B.lean")]
    problems = read(tmp_path, rows, "leandojo")
    assert [problem.metadata["group_id"] for problem in problems] == ["aux", "aux (B.lean)", "aux (B.lean) 2"]
    assert [problem.id for problem in problems] == ["aux#1", "aux (B.lean)#1", "aux (B.lean) 2#1"]
    assert {problem.metadata["theorem"] for problem in problems} == {"aux"}


def test_proofs_by_terms_are_counted(tmp_path):
    rows = [theorem("a"), theorem("b", traced("⊢ p", "simp")), theorem("c")]
    problems = read(tmp_path, rows, "leandojo")
    assert ([problem.id for problem in problems], problems.num_without, problems.num_skipped) == (["b#1"], 2, 0)
    with pytest.raises(ProblemError, match="no problem in it, none of its 2 rows has a proof by tactics"):
        read(tmp_path, [rows[0], rows[2]], "leandojo")


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (traced("⊢ p", "  "), "step 2 of bad: the tactic is empty"),
        (traced(" \n", "simp"), "step 2 of bad: the state is empty"),
        ({"tactic": "simp"}, "step 2 of bad: the column 'state_before' is missing"),
        (traced(3, "simp"), "step 2 of bad: the column 'state_before' must be text, got 3"),
        (3, "'traced_tactics' must be a list of objects"),
    ],
)
def test_a_theorem_with_a_bad_step_is_left_out_whole(tmp_path, step, reason):
    rows = [
        theorem("a", traced("⊢ p", "simp")),
        theorem("bad", traced("⊢ p", "simp"), step),
        theorem("b", traced("⊢ q", "rfl")),
    ]
    with pytest.raises(ProblemError, match=f"train.json, row 2: .*{reason}"):
        read(tmp_path, rows, "leandojo")
    problems = read(tmp_path, rows, "leandojo", skip_bad_rows=True)
    assert ([problem.id for problem in problems], problems.num_skipped) == (["a#1", "b#1"], 1)
    assert keep_whole_groups(problems, list(problems)) == list(problems), "its neighbours are whole"


def test_a_limit_counts_problems(tmp_path):
    rows = [theorem(name, *[traced(f"⊢ {name}{step}", "simp") for step in range(3)]) for name in "ab"]
    problems = read(tmp_path, rows, "leandojo", limit=4)
    assert [problem.id for problem in problems] == ["a#1", "a#2", "a#3", "b#1"]


def test_a_file_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ProblemError, match=r"the column 'full_name' is missing \(columns found: problem\)"):
        read(tmp_path, [{"problem": "p"}], "leandojo")
    with pytest.raises(ProblemError, match="columns 'state' or 'state_before' or 'goal' or 'prompt' are missing"):
        read(tmp_path, [{"problem": "p"}])
    for name in ("leandojo", "tactics"):
        with pytest.raises(ProblemError, match=f"the preset '{name}' has no default place: give a file"):
            load_problems(name)


# ---- one step a row ----


def steps(theorem, *numbers, **more):
    return [{"state": f"⊢ {theorem}{n}", "tactic": f"t{n}", "theorem": theorem, "step": n, **more} for n in numbers]


def test_names_of_columns(tmp_path):
    rows = [
        {"goal": "⊢ a\n", "tactic": " simp ", "full_name": "t", "n_steps": 1, "state_after": "no goals", "source": "s"},
        {"state_before": "⊢ b", "answer": "rfl", "name": "u", "metadata": {"split": "train"}},
        {"state": "⊢ c", "tactic": "rfl", "id": 7, "group_id": "g"},
    ]
    first, second, third = read(tmp_path, rows)
    assert (first.id, first.prompt, first.answers) == ("t#1", "⊢ a", ("simp",))
    assert first.metadata == {"group_id": "t", "theorem": "t", "step": 1, "num_steps": 1, "source": "s"}
    assert second.metadata == {"group_id": "u", "theorem": "u", "step": 1, "split": "train"}
    assert (third.id, third.metadata) == ("7", {"group_id": "g"})


def test_a_second_proof_of_a_theorem_is_another_group(tmp_path):
    rows = [*steps("t", 0, 1), *steps("t", 0), *steps("u", 1, 2), *steps("t", 3, 4), *steps("t", 1, 2, num_steps=5)]
    groups = [problem.metadata["group_id"] for problem in read(tmp_path, rows)]
    assert groups == ["t", "t", "t@2", "u", "u", "t@3", "t@3", "t@4", "t@4"]
    unnumbered = [
        {key: value for key, value in row.items() if key != "step"} for row in [*steps("t", 1, 2), *steps("u", 1)]
    ]
    assert [problem.id for problem in read(tmp_path, unnumbered)] == ["t#1", "t#2", "u#1"]


def test_a_step_that_is_no_number(tmp_path):
    for step in ("1", True, 1.5):
        with pytest.raises(ProblemError, match="the column 'step' must be a whole number"):
            read(tmp_path, [{"state": "⊢ a", "tactic": "rfl", "theorem": "t", "step": step}])


def test_only_whole_proofs_are_kept(tmp_path):
    """A step can be lost in the file, by its columns, or later; with its number of steps known, and without."""
    lost = [{**row, "tactic": ""} for row in steps("b", 1)]
    rows = [*steps("a", 1, 2), *lost, *steps("b", 2), *steps("c", 1, num_steps=2), *steps("d", 1), *steps("e", 1, 2)]
    problems = read(tmp_path, rows, skip_bad_rows=True)
    whole = keep_whole_groups(problems, list(problems))
    # a may have lost its last step as well as b its first one; c says that it has a step more
    assert [problem.id for problem in whole] == ["d#1", "e#1", "e#2"]
    assert [problem.id for problem in keep_whole_groups(problems, whole[:2])] == ["d#1"]
    path = write(tmp_path, [*steps("a", 1), "", *steps("b", 1), *steps("c", 1)], "m.jsonl")
    path.write_text(path.read_text("utf-8").replace('""', "{"), "utf-8")
    problems = load_problems(path, preset="tactics", skip_bad_rows=True)
    assert [problem.id for problem in keep_whole_groups(problems, list(problems))] == ["c#1"]


def test_problems_without_a_group_are_kept(tmp_path):
    path = write(tmp_path, [{"prompt": f"⊢ {n}", "answer": "rfl"} for n in range(3)], "p.jsonl")
    problems = load_problems(path)
    assert keep_whole_groups(problems, problems[:2]) == list(problems[:2])


def test_real_traces(test_data):
    """Steps of provers on MiniF2F's test problems: a sample of the format, not something to train on."""
    problems = load_problems(test_data / "lean4_state_tactic_traces.jsonl", preset="tactics")
    assert (len(problems), problems.num_skipped) == (493, 0)
    assert all("⊢" in problem.prompt for problem in problems)
    assert {problem.metadata["split"] for problem in problems} == {"test"}
    whole = keep_whole_groups(problems, list(problems))
    sizes = {}
    for problem in whole:
        sizes.setdefault((problem.metadata["group_id"], problem.metadata["num_steps"]), set()).add(
            problem.metadata["step"]
        )
    assert all(steps == set(range(size)) for (_, size), steps in sizes.items())
    assert 400 < len(whole) < 493, "some proofs of the sample lack a step"
