"""What a result says about where and with what it was measured."""

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers", "numpy")
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def facts() -> dict[str, Any]:
    """Processor, cores, load, memory, system, versions, date (UTC)."""
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load_1min": round(os.getloadavg()[0], 2),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
    }


def version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_model() -> str:
    return _cpuinfo("model name") or platform.processor() or "unknown"


def has_bf16() -> bool:
    """Whether the processor multiplies in bf16."""
    return bool(BF16_FLAGS & set(_cpuinfo("flags").split()))


def _cpuinfo(field: str) -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
