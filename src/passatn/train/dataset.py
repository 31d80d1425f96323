"""The trainer's data: prepared by TRL, checked before p can change silently, and put into groups if asked."""

from typing import Any

from trl import SFTTrainer

from passatn.train.config import CoverageConfig
from passatn.train.given import GIVEN_COLUMN, keep_unlearnt
from passatn.train.groups import GROUP_COLUMN, group_rows, is_grouped
from passatn.train.prepare import check_examples


class DatasetMixin(SFTTrainer):
    """`SFTTrainer`'s preparation of a dataset, without its truncation and with `check_examples`."""

    args: CoverageConfig

    def _prepare_dataset(
        self, dataset: Any, processing_class: Any, args: Any, packing: bool, formatting_func: Any, dataset_name: str
    ) -> Any:
        if is_grouped(dataset) or (not args.is_plain_sft and "seq_lengths" in (dataset.column_names or [])):
            return dataset  # prepared before: `evaluate` may pass a dataset through here twice
        if args.is_plain_sft:
            dataset = super()._prepare_dataset(dataset, processing_class, args, packing, formatting_func, dataset_name)
            return group_rows(dataset, confidence=args.confidence) if args.has_groups else dataset
        max_length, args.max_length = args.max_length, None  # over-long examples are an error below, not truncated
        try:
            dataset = super()._prepare_dataset(dataset, processing_class, args, False, formatting_func, dataset_name)
        finally:
            args.max_length = max_length
        tokenised = dataset
        dataset = check_examples(
            tokenised,
            self._tokenizer,
            max_length=max_length,
            chat_template=self.chat_template,
            skip_bad=args.skip_bad_examples,
            num_proc=args.dataset_num_proc,
            name=dataset_name,
        )
        if args.has_groups:
            return group_rows(dataset, before=tokenised, confidence=args.confidence)
        if args.weighs_given and dataset_name == "train":
            return keep_unlearnt(dataset, args.n_passes, args.min_confidence_weight)
        if packing:
            return super()._prepare_dataset(dataset, processing_class, args, True, None, dataset_name)
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        assert self._signature_columns is not None
        if GROUP_COLUMN not in self._signature_columns and self.args.has_groups:
            self._signature_columns = [*self._signature_columns, GROUP_COLUMN]
        if GIVEN_COLUMN not in self._signature_columns and self.args.weighs_given:
            self._signature_columns = [*self._signature_columns, GIVEN_COLUMN]
