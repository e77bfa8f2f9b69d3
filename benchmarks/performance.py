"""What the benchmarks share: the environment in a line, and sections of pages in docs/."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

_DOCS = Path(__file__).resolve().parent.parent / "docs"


def environment() -> str:
    """Processor, cores and versions, in one line, without importing JAX."""
    model = "unknown processor"
    if (info := Path("/proc/cpuinfo")).exists():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text())
        model = found.group(1) if found else model
    versions = f"Python {platform.python_version()}, JAX {version('jax')}"
    return f"{model}, {os.cpu_count()} cores; {versions}"


def write_section(name: str, text: str, page_name: str = "performance.md") -> None:
    """Replaces what stands between `<!-- name -->` and `<!-- end -->` in a page."""
    path = _DOCS / page_name
    page = path.read_text(encoding="utf-8")
    pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
    if not re.search(pattern, page, flags=re.DOTALL):
        raise SystemExit(f"docs/{page_name} has no section <!-- {name} -->")
    page = re.sub(pattern, lambda m: f"{m[1]}{text}\n{m[2]}", page, flags=re.DOTALL)
    path.write_text(page, encoding="utf-8")
