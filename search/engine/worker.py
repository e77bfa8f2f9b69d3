"""The main function of a worker process: answers requests until its input ends; see `answers`.

Requests and answers are a line of JSON each. During a request the worker sends signs of life,
{"at": task}: one each second in which a piece of training was finished; see `patience`.
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

# Minimal seconds between two signs of life.
BEAT = 1.0


def main() -> None:
    """Runs the process, which `WorkerProcess` starts. Never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, replies = _pipes()
    if os.environ.get("EVOPTAX_DEBUG", "") in ("", "0"):
        # JAX logs the traceback of an error in a task; the user gets one sentence instead.
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
    """The pipes for requests and answers, moved away from stdin and stdout.

    So a task that prints does not write among the answers, and one that reads stdin gets no
    request. Forked children close the pipes; otherwise the coordinator would not notice that this
    process has ended.
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
    """Queues requests. The input ends when the coordinator is gone: then this process ends too."""
    for line in requests:
        received.put(line)
    _end()


def _end() -> None:
    """Ends this process and all processes that tasks have started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


class _Line:
    """Writes messages to the coordinator. Safe for two threads."""

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
    """Sends signs of life, for ever."""
    said = 0
    while True:
        time.sleep(BEAT)
        if answers.busy and answers.pieces != said:
            said = answers.pieces
            line.write({"at": answers.task})
