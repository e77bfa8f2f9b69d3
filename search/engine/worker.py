"""A worker process: answers requests, a line of JSON each, until its input ends; see `answers`.

Before an answer come signs of life, {"at": task}, one each second in which a piece was finished:
see `patience`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from queue import SimpleQueue
from typing import IO, Any

from ...evaluators.switches import firm_switches
from .answers import Answers

# Seconds between two signs of life, at least.
BEAT = 1.0


def main() -> None:
    """Runs the process, which `WorkerProcess` starts. Never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, replies = _pipes()
    if os.environ.get("EVOPTAX_DEBUG", "") in ("", "0"):
        # It writes the traceback of what a task raises; the sentence comes from here.
        logging.getLogger("jax").setLevel(logging.CRITICAL)
    received: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=[requests, received], daemon=True).start()
    line = _Line(replies)
    answers = Answers()
    threading.Thread(target=_beat, args=[answers, line], daemon=True).start()
    line.write({"at": ""})
    with firm_switches():
        while True:
            request = json.loads(received.get())
            line.write(answers.answer(request))


def _pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Where requests come from and answers go to, out of the reach of tasks.

    What a task prints must not end up among the answers, nor must it read requests. What it forks
    must not hold the pipes, or nobody would see that this process has ended.
    """
    pipes = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)

    def close() -> None:
        for pipe in pipes:
            os.close(pipe)

    os.register_at_fork(after_in_child=close)
    return os.fdopen(pipes[0], "rb"), os.fdopen(pipes[1], "wb")


def _receive(requests: IO[bytes], received: SimpleQueue[bytes]) -> None:
    """Passes requests on. When they end, whoever sent them is gone: end too, whatever runs."""
    for line in requests:
        received.put(line)
    _end()


def _end() -> None:
    """Ends this process, and what tasks have started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


class _Line:
    """The way back. Two threads write to it."""

    def __init__(self, answers: IO[bytes]) -> None:
        self._answers, self._lock = answers, threading.Lock()

    def write(self, message: dict[str, Any]) -> None:
        with self._lock:
            try:
                self._answers.write(json.dumps(message).encode() + b"\n")
                self._answers.flush()
            except OSError:
                _end()


def _beat(answers: Answers, line: _Line) -> None:
    """Gives signs of life."""
    said = 0
    while True:
        time.sleep(BEAT)
        if answers.busy and answers.pieces != said:
            said = answers.pieces
            line.write({"at": answers.task})
