"""The process of one local model: llama.cpp's own HTTP server on the loopback, in OpenAI's dialect, behind a key.

Run as `python -m dirigent.local.process`. It reads one Launch line, writes one Listening or Refusal line, and serves
until SIGTERM, the end of its input or the end of its parent.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import msgspec
import xllamacpp

from dirigent.annex.tether import end_with, step_back
from dirigent.local.launch import Launch, Listening, Refusal

__all__ = ["main"]

_PATIENCE = 2.0
"""Seconds that llama.cpp is given to write down why it cannot load a model."""


def main() -> None:
    """Serves one model until told to stop."""
    began = time.monotonic()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gateway's to hear; it ends us when it has drained
    launch = msgspec.json.decode(sys.stdin.buffer.readline(), type=Launch)
    end_with(launch.parent)
    voice = os.dup(1)
    log = os.open(launch.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    start = os.fstat(log).st_size
    os.dup2(log, 1)
    os.dup2(log, 2)
    step_back(launch.tuning.niceness)
    try:
        # bound to a name for as long as we serve: the server ends with its last reference
        server = xllamacpp.Server(_parameters(launch))
    except (RuntimeError, ValueError) as error:
        _say(voice, Refusal(_why(Path(launch.log), start) or str(error)))
        sys.exit(1)
    signal.signal(signal.SIGTERM, _leave)  # not sooner: while it loads, only the plain signal ends it at once
    port = urlsplit(server.listening_address).port or 0
    tuning = launch.tuning
    _say(voice, Listening(port, tuning.slots, tuning.context_per_slot, round(time.monotonic() - began, 3)))
    while sys.stdin.buffer.read(4096):  # the second net: our parent holds the other end, so it ends with our parent
        pass
    _leave(signal.SIGTERM, None)


def _parameters(launch: Launch) -> xllamacpp.CommonParams:
    tuning, p = launch.tuning, xllamacpp.CommonParams()
    p.model.path = launch.path
    p.model_alias = {launch.name}  # else answers carry the path as the model's name
    p.n_parallel = tuning.slots
    p.n_ctx = tuning.slots * tuning.context_per_slot
    p.n_batch = p.n_ubatch = tuning.batch
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = tuning.threads
    p.n_gpu_layers = 0
    p.fit_params = False  # it would shrink the context behind our back
    p.no_extra_bufts = True  # no second, repacked copy of the weights in memory
    p.cache_ram_mib = tuning.prompt_cache_mib
    p.verbosity = 1  # errors only: no prompt may reach the log
    p.hostnames = ["127.0.0.1"]
    p.port = tuning.port
    p.api_keys = [launch.key]
    p.cors_origins = ""
    p.ui = False
    p.endpoint_metrics = p.endpoint_slots = True
    return p


def _say(voice: int, words: Listening | Refusal) -> None:
    os.write(voice, msgspec.json.encode(words) + b"\n")
    os.close(voice)


def _why(log: Path, start: int) -> str:
    """Why llama.cpp cannot load it, or its first complaint since `start`, without its time stamp.

    Its exception says nothing, and a thread of its own writes its log, which may come later than the exception.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        with log.open("rb") as stream:
            stream.seek(start)
            lines = stream.read(65_536).decode("utf-8", "replace").splitlines()
        complaints = [line.split(" E ", 1)[1] for line in lines if " E " in line]
        wanted = [line for line in complaints if "error loading model" in line]
        if wanted or time.monotonic() > until:
            return (wanted or complaints or [""])[0].split("error loading model: ")[-1].strip()
        time.sleep(0.02)


def _leave(_number: int, _frame: FrameType | None) -> None:
    # without unwinding: taking the engine down waits for answers that nobody hears any more, the kernel does not
    os._exit(0)


if __name__ == "__main__":
    main()
