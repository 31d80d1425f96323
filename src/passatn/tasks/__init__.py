"""Tasks: what a problem is, where problems come from, and how they become token ids."""

from passatn.tasks.encoding import (
    BoundaryMergeError,
    EncodedExample,
    SkipReport,
    TooLongError,
    encode_answers,
    encode_example,
    encode_problems,
    encode_prompt,
)
from passatn.tasks.folds import Fold
from passatn.tasks.groups import keep_whole_groups
from passatn.tasks.load import ProblemSet, load_problems
from passatn.tasks.overlap import Match, Overlap, find_overlap, normalise_text
from passatn.tasks.presets import PRESETS, Preset, get_preset, last_boxed
from passatn.tasks.problem import Problem, ProblemError
from passatn.tasks.prompts import (
    TEMPLATES,
    PromptTemplate,
    extract_answer,
    get_template,
    render_completion,
    render_prompt,
)
from passatn.tasks.tokenise import EncodingError

__all__ = [
    "PRESETS",
    "TEMPLATES",
    "BoundaryMergeError",
    "EncodedExample",
    "EncodingError",
    "Fold",
    "Match",
    "Overlap",
    "Preset",
    "Problem",
    "ProblemError",
    "ProblemSet",
    "PromptTemplate",
    "SkipReport",
    "TooLongError",
    "encode_answers",
    "encode_example",
    "encode_problems",
    "encode_prompt",
    "extract_answer",
    "find_overlap",
    "get_preset",
    "get_template",
    "keep_whole_groups",
    "last_boxed",
    "load_problems",
    "normalise_text",
    "render_completion",
    "render_prompt",
]
