"""Elementary functions that keep their relative accuracy, and the precision in which formulas are evaluated.

Formulas are written once, for numpy and torch alike, with the functions of `namespace(array)`; they are evaluated in
float64 and rounded once to the dtype of the input, because log(1 - p) loses the digits of p that float32 holds.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

LOG_2 = 0.6931471805599453

Array: TypeAlias = npt.NDArray[Any] | torch.Tensor
NumpyInput: TypeAlias = npt.NDArray[Any] | np.generic | float | list[Any] | tuple[Any, ...]


def namespace(array: Array) -> Any:
    """The module, numpy or torch, whose functions apply to the array."""
    return torch if isinstance(array, torch.Tensor) else np


def log1mexp(a: Any) -> Any:
    """log(1 - e^a) for a <= 0, accurate at both ends: expm1 where e^a is near 1, log1p where it is near 0."""
    xp = namespace(a)
    return xp.where(a > -LOG_2, xp.log(-xp.expm1(a)), xp.log1p(-xp.exp(a)))


def epsilon(array: Any) -> float:
    """The distance from 1 to the next number in the array's dtype."""
    return float(namespace(array).finfo(array.dtype).eps)


def working_dtype(device: torch.device) -> torch.dtype:
    """float64, or float32 on Apple's GPUs, which have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def widen(array: Any) -> Any:
    """The array in the precision in which formulas are evaluated."""
    if isinstance(array, torch.Tensor):
        return array.to(working_dtype(array.device))
    return np.asarray(array, dtype=np.float64)


def narrow(array: Any, dtype: Any) -> Any:
    """The array rounded to dtype: a tensor, a numpy array, or for zero dimensions a numpy scalar."""
    if isinstance(array, torch.Tensor):
        return array.to(dtype)
    return np.asarray(array).astype(dtype, copy=False)[()]


def as_floating(values: Any) -> Any:
    """A tensor or numpy array of float32 or float64: half precision goes to float32, integers to the default."""
    if isinstance(values, torch.Tensor):
        if not values.dtype.is_floating_point:
            return values.to(torch.get_default_dtype())
        return values if values.dtype in (torch.float32, torch.float64) else values.to(torch.float32)
    array = np.asarray(values)
    if array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float32 if array.dtype == np.float16 else np.float64)


def to_numpy(values: Any) -> npt.NDArray[Any]:
    """Any array as a numpy array in host memory, without its gradient."""
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def like_input(result: npt.NDArray[Any], *inputs: Any) -> Any:
    """The result as a tensor on the device of the first tensor among the inputs, else as numpy."""
    for given in inputs:
        if isinstance(given, torch.Tensor):
            return torch.as_tensor(np.asarray(result), dtype=working_dtype(given.device), device=given.device)
    return result[()]
