"""manifest.json: which distribution a store's samples were drawn from.

Written once and never changed; which samples there are follows from the shards. Samples of another model, of other
prompts or with other parameters belong into another store.
"""

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from passatn.sample.store.files import StoreError, one_line
from passatn.sample.store.fingerprint import prompts_fingerprint

if TYPE_CHECKING:
    from passatn.sample.engine import SampleRequest, SamplingParams

FORMAT = "passatn sample store"
FORMAT_VERSION = 1
_PACKAGES = ("passatn", "torch", "transformers", "vllm", "pyarrow")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What the samples are samples of. All but `versions`, and the model's name where its hash is known, must agree."""

    model: str
    model_hash: str | None = None
    """`model_fingerprint` of the weights; None where they are out of reach, and then the name has to agree."""
    prompts_hash: str | None = None
    """`prompts_fingerprint` of all requests."""
    template: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Temperature, top_p, top_k, max_new_tokens, seed, and whatever else shapes the samples: engine, dtype, stops."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Packages that the store was begun with: for the record, not compared."""

    def __post_init__(self) -> None:
        try:
            plain = json.loads(json.dumps(dict(self.sampling), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise StoreError(f"sampling: cannot be stored in JSON ({one_line(error)})") from None
        object.__setattr__(self, "sampling", plain)

    @classmethod
    def for_run(
        cls,
        model: str,
        requests: Sequence["SampleRequest"],
        params: "SamplingParams",
        *,
        model_hash: str | None = None,
        template: str | None = None,
        **sampling: Any,
    ) -> "Manifest":
        """The manifest of sampling `requests` with `params`; more keywords (engine="hf", dtype=…) join `sampling`."""
        return cls(
            model=model,
            model_hash=model_hash,
            prompts_hash=prompts_fingerprint(requests),
            template=template,
            sampling=sampling_settings(params) | sampling,
            versions=installed_versions(),
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What has to agree, flat."""
        plain: dict[str, Any] = {"model_hash": self.model_hash} if self.model_hash else {"model": self.model}
        plain |= {"prompts_hash": self.prompts_hash, "template": self.template}
        return plain | {f"sampling.{name}": value for name, value in self.sampling.items()}

    def to_json(self) -> bytes:
        return (
            json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION} | asdict(self), indent=1).encode() + b"\n"
        )

    @classmethod
    def from_json(cls, name: str, data: bytes) -> "Manifest":
        """Read manifest.json; raises StoreError, one line that begins with `name`."""
        try:
            fields = json.loads(data)
            if fields.pop("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT!r}")
            version = fields.pop("format_version")
            if version != FORMAT_VERSION:
                raise ValueError(f"format_version is {version!r}, this passatn reads {FORMAT_VERSION}")
            return cls(**fields)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise StoreError(f"{name}: not the manifest of a sample store ({one_line(error):.120})") from None


def refuse_difference(name: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise StoreError naming the first field of two identities that differs, with both values."""
    for key in [*expected, *(key for key in found if key not in expected)]:
        if key not in found or key not in expected or found[key] != expected[key]:
            values = [_shown(key, identity) for identity in (found, expected)]
            raise StoreError(
                f"{name}: its samples have {key} = {values[0]}, expected {values[1]}: use another store, or the same "
                "settings"
            )


def _shown(key: str, identity: Mapping[str, Any]) -> str:
    return f"{identity[key]!r:.80}" if key in identity else "(not given)"


def sampling_settings(params: "SamplingParams") -> dict[str, Any]:
    """The parameters that shape the distribution: all but how many samples, and from which index."""
    names = ("temperature", "top_p", "top_k", "max_new_tokens", "seed")
    return {name: getattr(params, name) for name in names} | ({"stop": list(params.stop)} if params.stop else {})


def installed_versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
