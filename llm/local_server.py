"""The child process that serves a model file: `python -m llm.local_server --model PATH`.

It runs llama.cpp's HTTP server on the loopback interface, prints `{"url": ...}` when it is ready,
and exits the moment its standard input closes: however the parent dies, no server stays behind.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import sys
import threading
from pathlib import Path

import xllamacpp

from llm.local_env import API_KEY_VARIABLE

# Each slot has its own 8,192 tokens (the model's window), 180 MiB of memory. Sharing one pool
# would save some, but once it is full llama.cpp fails every answer in progress at once.
SLOTS = 4
SLOT_TOKENS = 8_192

# What was read for conversations that hold no slot any more, 23 MB for each 1,000 tokens: one that is
# taken up again costs a copy instead of seconds of reading. llama.cpp's own limit is 8 GB.
KEPT_PROMPTS_MIB = 512

# A waiting request holds one of these threads; the health check must still find a free one.
HTTP_THREADS = 128

# llama.cpp's threads spin while they wait for each other: when a neighbour takes one of two cores,
# two threads fall from 84 tokens a second to 5, where one thread keeps above 40. So half of the
# cores are left alone, and a model this small gains nothing from more than four.
MAX_THREADS = 4

# Chosen by reading answers of a 135M model: cold enough to stay with the question (its card
# suggests 0.2), with a penalty just strong enough that it does not say one sentence for ever;
# from 1.15 on its code becomes unreadable.
TEMPERATURE = 0.3
TOP_P = 0.9
REPEAT_PENALTY = 1.08
REPEAT_WINDOW_TOKENS = 128

WARNINGS_ONLY = 2
PR_SET_PDEATHSIG = 1


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a language model on this machine.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: half of the usable cores")
    args = parser.parse_args()

    # Ctrl-C reaches the whole process group; the parent stops us in its own order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    server = xllamacpp.Server(
        build_params(
            args.model,
            port=args.port,
            threads=args.threads or default_threads(),
            api_key=os.environ[API_KEY_VARIABLE],
        )
    )
    sys.stdout.write(json.dumps({"url": server.listening_address}) + "\n")
    sys.stdout.flush()
    threading.Event().wait()


def build_params(model: Path, *, port: int, threads: int, api_key: str) -> xllamacpp.CommonParams:
    """Return the server's settings: loopback only, key required, nothing served but answers."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * SLOT_TOKENS
    params.kv_unified = False
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.cont_batching = True
    params.cache_prompt = True
    params.cache_ram_mib = KEPT_PROMPTS_MIB
    params.sampling.temp = TEMPERATURE
    params.sampling.top_p = TOP_P
    params.sampling.penalty_repeat = REPEAT_PENALTY
    params.sampling.penalty_last_n = REPEAT_WINDOW_TOKENS

    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.api_keys = [api_key]
    params.n_threads_http = HTTP_THREADS
    params.cors_origins = ""
    params.cors_credentials = False
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_props = False
    params.endpoint_metrics = False
    params.verbosity = WARNINGS_ONLY
    return params


def default_threads() -> int:
    """Return how many threads serve answers best on a machine that does other work too."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(MAX_THREADS, cores // 2))


def _die_with_parent() -> None:
    """Watch standard input from a thread; on Linux, ask the kernel too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_exit_at_eof, daemon=True).start()


def _exit_at_eof() -> None:
    while os.read(0, 1024):
        pass
    # At once and without cleanup: nobody is left to answer.
    os._exit(0)


if __name__ == "__main__":
    main()
