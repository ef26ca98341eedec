"""How much memory there is for this process: on a GPU, or in main memory under every limit that holds for it.

Everything in bytes. Nothing here raises: a limit that cannot be read is none.
"""

import math
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import torch

ROOT = Path("/")
PAGE = resource.getpagesize()


def available(place: torch.device) -> float:
    """What can still be allocated on a device; infinite where nothing says how much.

    On a GPU: what the driver has free and what torch's allocator holds unused (not run on a GPU).
    """
    if place.type == "cuda":
        free, _ = torch.cuda.mem_get_info(place)
        return free + torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)
    return max(0, min(_limits(), default=math.inf))


def _limits() -> Iterator[float]:
    """What each limit leaves. Memory that holds files can be taken back and counts as free."""
    free = _fields(ROOT / "proc/meminfo").get("MemAvailable:")
    if free is not None:
        yield free * 1024
    yield from _control_groups()
    size, used = _own_pages()
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield soft - size * PAGE
    given = os.environ.get("SLURM_MEM_PER_NODE", "")
    if given.isdecimal() and int(given) > 0:  # MB; 0 is the whole node
        yield int(given) * 2**20 - used * PAGE


def _own_pages() -> tuple[int, int]:
    """Of this process: the size of its address space, and what of it is in memory and holds no file."""
    try:
        size, resident, shared = map(int, (ROOT / "proc/self/statm").read_text().split()[:3])
    except (OSError, ValueError):
        return 0, 0
    return size, resident - shared


def _control_groups() -> Iterator[float]:
    """What the limits of this process's control groups leave, those of the groups around them included."""
    try:
        lines = (ROOT / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount, names = ROOT / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            mount = ROOT / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # In a container the path may be the host's; what is mounted is then the group itself.
        folder = mount / path.lstrip("/")
        for group in {mount, folder, *(each for each in folder.parents if mount in each.parents)}:
            yield from _left(group, *names)


def _left(group: Path, limit: str, usage: str, files: str) -> Iterator[float]:
    try:
        most, used = int((group / limit).read_text()), int((group / usage).read_text())
    except (OSError, ValueError):  # no such group, or no limit: "max", or in the old kind a number near 2^63
        return
    yield most - used + _fields(group / "memory.stat").get(files, 0)


def _fields(path: Path) -> dict[str, int]:
    """The lines `name number` of one of the kernel's files."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}
