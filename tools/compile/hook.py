"""A step of hatchling's wheel: compiles modules and puts them beside their sources. Off unless it is asked for.

`HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 python -m hatchling build -t wheel` builds a wheel for this machine's Python; mypy
and setuptools, as locked in requirements/compile.txt, and a C compiler must be there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["Compiled"]


class Compiled(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the extension modules to the wheel, and says for which Python and machine it is then."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles a copy of the package, so that nothing is ever left in the working tree."""
        self._stage = tempfile.TemporaryDirectory(prefix="dirigent-compile-")
        stage = Path(self._stage.name)
        ignored = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(Path(self.root) / "src" / "dirigent", stage / "dirigent", ignore=ignored)
        path = os.pathsep.join((str(stage), self.root))
        subprocess.run(
            [sys.executable, "-m", "tools.compile.extensions"],
            cwd=stage,
            env={**os.environ, "PYTHONPATH": path, "MYPYPATH": str(stage)},
            check=True,
        )
        built = [*stage.glob("*.so"), *(stage / "dirigent").rglob("*.so")]
        if not built:
            raise RuntimeError("nothing was compiled")
        build_data["force_include"].update({str(file): file.relative_to(stage).as_posix() for file in built})
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Clears the copy away."""
        self._stage.cleanup()
