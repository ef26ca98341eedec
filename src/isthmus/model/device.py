"""Where things are computed, how exactly, and what happens when there is no room."""

import ctypes
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from isthmus.data.batch import Array

# What decides how a batch is laid out or cut: asked of a device, it would make the host wait.
ON_HOST = ("attention_mask", "counts", "limits", "normalised")

# How torch's allocator of main memory says that there is none, on Windows and elsewhere; the driver of a GPU; cuBLAS.
NO_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Matrix products in bf16, sums and norms in float32, unless the recipe's precision is fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision != "fp32")


def states_dtype(precision: str) -> torch.dtype:
    """The type that a recipe's precision keeps an encoder's weights in."""
    return torch.bfloat16 if precision == "bf16_states" else torch.float32


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory, on a device or in the machine."""
    told = any(text in str(error) for text in NO_MEMORY)
    return told or isinstance(error, (torch.OutOfMemoryError, MemoryError))


def reason(error: BaseException) -> str:
    """An error in a line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def free() -> None:
    """Give back what is allocated and not in use, on the device and in main memory."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    # glibc keeps freed memory for later, more than a gigabyte of it after training an encoder of XLM-R base's size.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def tensors(batch: Mapping[str, Array], device: torch.device) -> dict[str, Tensor]:
    """A batch's arrays on the device, but for those that the host reads."""
    return {
        name: torch.from_numpy(array) if name in ON_HOST else tensor(array, device)
        for name, array in batch.items()
    }


def tensor(array: Array, device: torch.device) -> Tensor:
    """An array on the device; a GPU fetches it while the host goes on."""
    made = torch.from_numpy(array)
    return made.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else made.to(device)


def place() -> str:
    """Where things are computed: the first GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def to_device(module: nn.Module) -> None:
    """Move a module to where things are computed."""
    module.to(place())


def settle(threads: int) -> None:
    """Make sums come out alike: a fixed number of threads, deterministic kernels only."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic cuBLAS asks for
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # A check for bugs that would cost time in every step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
