"""Scores of stored completions: by what best-of-N prefers one sample to another.

    log_prob              the model's own log-probability
    log_prob_per_token    the same, per token
    FILE                  a column `score` beside `problem_id` and `completion`: .parquet, or JSON Lines
    reward:MODEL          a reward model of transformers with one output (AutoModelForSequenceClassification)

A reward model's scores are kept in the store, one file per problem, so that a run that is killed goes on.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from passatn.sample.store.files import Folder, StoreError
from passatn.tasks.problem import Problem

FOLDER = "scores"
_BATCH = 32


class Scorer(Protocol):
    name: str

    def score(self, problem: Problem, rows: pa.Table) -> np.ndarray:
        """float64 `[rows]`, one for each unique completion of the problem; −inf where there is none."""


def get_scorer(spec: str, store: Folder) -> Scorer:
    """The scorer of that name; `store` is where a reward model's scores are kept.

    Raises:
        ValueError: an unknown name, or a file or model that cannot be read; one line.
    """
    if spec in ("log_prob", "log_prob_per_token"):
        return LogProbScorer(spec)
    if spec.startswith("reward:"):
        return RewardModelScorer(spec.removeprefix("reward:"), store)
    if Path(spec).is_file():
        return FileScorer(Path(spec))
    raise ValueError(f"score {spec!r}: there are log_prob, log_prob_per_token, reward:MODEL and files; no such file")


class LogProbScorer:
    """What the sampled model itself thinks of the completion."""

    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, problem: Problem, rows: pa.Table) -> np.ndarray:
        log_prob = rows["log_prob"].to_numpy().astype(np.float64)
        if self.name == "log_prob_per_token":
            log_prob = log_prob / rows["num_tokens"].to_numpy()
        return np.nan_to_num(log_prob, nan=-np.inf, neginf=-np.inf)


class FileScorer:
    """Scores from a file; a completion of the store that the file lacks is an error."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        columns = ("problem_id", "completion", "score")
        try:
            if path.suffix == ".parquet":
                table = pq.read_table(path)
                records = table.to_pylist()
            else:
                records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, ValueError, pa.ArrowInvalid) as error:
            raise ValueError(f"{path}: cannot be read ({' '.join(str(error).split()):.120})") from None
        self._scores: dict[tuple[str, str], float] = {}
        for number, record in enumerate(records, start=1):
            missing = [name for name in columns if not isinstance(record, dict) or name not in record]
            if missing:
                raise ValueError(f"{path}, row {number}: the field {missing[0]!r} is missing")
            score = record["score"]
            if isinstance(score, bool) or not isinstance(score, int | float) or np.isnan(score):
                raise ValueError(f"{path}, row {number}: the score must be a number, got {score!r}")
            self._scores[str(record["problem_id"]), record["completion"]] = float(score)

    def score(self, problem: Problem, rows: pa.Table) -> np.ndarray:
        try:
            return np.array([self._scores[problem.id, text] for text in rows["completion"].to_pylist()])
        except KeyError as error:
            text = error.args[0][1]
            raise ValueError(f"{self._path}: no score for {text[:40]!r} of problem {problem.id!r}") from None


class RewardModelScorer:
    """A reward model reads the problem as the user's message and the completion as the assistant's."""

    def __init__(self, model: str, store: Folder) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self.name = f"reward:{model}"
        self._store = store
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(model)
            loaded: Any = AutoModelForSequenceClassification.from_pretrained(model)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"cannot load the reward model {model!r}: {reason:.300}") from None
        if loaded.config.num_labels != 1:
            raise ValueError(f"{model!r} is no reward model: it has {loaded.config.num_labels} outputs, expected 1")
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        loaded.config.pad_token_id = self._tokenizer.pad_token_id
        self._model = loaded.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def score(self, problem: Problem, rows: pa.Table) -> np.ndarray:
        texts = rows["completion"].to_pylist()
        file = self._file_of(problem)
        known = self._known(file)
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known |= dict(zip(new, self._run(problem, new), strict=True))
            table = pa.table({"completion": list(known), "score": list(known.values())})
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink, compression="zstd")
            self._store.write(file, sink.getvalue().to_pybytes())
        return np.array([known[text] for text in texts], dtype=np.float64)

    def _file_of(self, problem: Problem) -> str:
        """The prompt is part of the name: another problem under the same id has other scores."""
        digest = hashlib.sha256(f"{problem.id}\n{problem.prompt}".encode()).hexdigest()[:24]
        return f"{FOLDER}/{quote(self.name, safe='')}/{digest}.parquet"

    def _known(self, file: str) -> dict[str, float]:
        if not self._store.exists(file):
            return {}
        try:
            table = pq.read_table(pa.BufferReader(self._store.read(file)))
        except (pa.ArrowInvalid, OSError, StoreError):
            return {}
        return dict(zip(table["completion"].to_pylist(), table["score"].to_pylist(), strict=True))

    def _run(self, problem: Problem, texts: Sequence[str]) -> list[float]:
        import torch

        ids = [self._encode(problem, text) for text in texts]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        scores = [0.0] * len(ids)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            padded = self._tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(**padded.to(self._model.device)).logits[:, 0].float().cpu().tolist()
            for index, value in zip(batch, logits, strict=True):
                scores[index] = value
        return scores

    def _encode(self, problem: Problem, text: str) -> list[int]:
        if self._tokenizer.chat_template:
            messages = [{"role": "user", "content": problem.prompt}, {"role": "assistant", "content": text}]
            rendered = self._tokenizer.apply_chat_template(messages, tokenize=False)
            return list(self._tokenizer(rendered, add_special_tokens=False)["input_ids"])
        return list(self._tokenizer(f"{problem.prompt}\n{text}")["input_ids"])
