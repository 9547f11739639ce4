"""Load with failures on both sides, whole and streamed, straight and through queues and routers: nothing stays behind.

A minute unless SOAK_SECONDS says otherwise; SOAK_RATE is the calls a second, half of what the node takes unless given.
An hour of it, `python -m benches.soak`, also says how memory grows.
"""

from __future__ import annotations

import os

import pytest

from benches.goals import LONG
from benches.native import Missing
from benches.soak import soaked

pytestmark = pytest.mark.prove

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
RATE = float(os.environ.get("SOAK_RATE", "0")) or None
MOST = 16.0
"""Megabytes by which caches of a bounded size may fill in a minute: 250 bytes that each call left behind are more."""


def test_load_with_failures_leaves_no_task_no_socket_and_no_place_behind() -> None:
    try:
        found = soaked(SECONDS, RATE, print)
    except Missing as fault:
        pytest.skip(str(fault))

    calls = sum(found.ends.values())
    print(f"{calls} calls: {found.ends}; {found.behind} more were due while no caller was free")
    first, last = found.megabytes
    print(f"memory {first:.1f} -> {last:.1f} MB, {found.slope:+.1f} ± {found.margin:.1f} an hour")
    assert found.left == {}
    assert found.ends["broken"] == found.ends["silent"] == 0
    assert found.ends["refused"] + found.ends["told"] < 0.05 * calls
    assert found.ends["answered"] > 0.9 * calls > 1_000
    assert last - first < MOST
    if found.seconds >= LONG:
        assert found.slope <= 1.0
