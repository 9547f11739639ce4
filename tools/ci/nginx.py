"""Sees that nginx is here for the benchmarks, which measure the gateway against it in the same run.

Root on a Debian system gets it from the package manager, without a service being started; anybody else is told what
to install. The benchmarks run either way: without nginx their ratios to it are missing, and they say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

# A maintainer script believes itself in single-user mode, where nothing may be started.
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}


def main() -> int:
    """Returns 0 whether or not nginx could be had."""
    if shutil.which("nginx"):
        return 0
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("installing nginx for the benchmarks …", flush=True)
        environment = {**os.environ, **QUIET}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", "nginx-light"]):
            subprocess.run(["apt-get", "-qq", *command], env=environment, stdout=subprocess.DEVNULL, check=False)
        if shutil.which("nginx"):
            return 0
    print("nginx is not here: install the package `nginx-light`, or the ratios to it will be missing.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
