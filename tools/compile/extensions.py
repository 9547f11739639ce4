"""Compiles the listed modules in the folder where it is started, which holds a copy of the package.

In a process of its own, because mypyc and setuptools read and write wherever they are.
"""

from __future__ import annotations

import sys

from mypyc.build import mypycify
from setuptools import setup  # type: ignore[import-untyped]

from tools.compile.sources import compilable, file_of


def main() -> None:
    """Leaves the extension modules beside their sources."""
    files = [file_of(module).as_posix() for module in compilable()]
    modules = mypycify(
        ["--strict", "--no-incremental", *files], opt_level="3", debug_level="0", group_name="dirigent", verbose=False
    )
    sys.argv = ["setup.py", "--quiet", "build_ext", "--inplace"]
    setup(name="dirigent", packages=[], ext_modules=modules)


if __name__ == "__main__":
    main()
