"""The `evoptax` command as a process: its signals, its streams, and errors that nobody expected.

Until Ctrl-C is handled, as little as possible is imported; what Python itself does before cannot be
handled at all. `main` is the command.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

STOPPED = 130


def run() -> int:
    """Runs the command line of this process.

    Returns:
      The exit status; see `main`. 1 where evoptax itself is at fault.
    """
    try:
        # Nothing is half done yet: end at once.
        _on_ctrl_c(_end)
        sys.unraisablehook = _unraisable
        _open_missing_streams()
        from .main import main, wants_debug
        from .streams import wrap_streams

        wrap_streams()
        _on_ctrl_c(_interrupt)
        try:
            status = main()
        except Exception as error:
            status = _internal_error(error, wants_debug(sys.argv[1:]))
        # All is printed; what Python tidies up from here on may be cut short.
        _on_ctrl_c(signal.SIG_DFL)
        return status
    except KeyboardInterrupt:  # while `main` said that it was stopped
        _end()
        return STOPPED


def _on_ctrl_c(handler: object) -> None:
    """Sets the handler, unless this process was started to ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first Ctrl-C lets `main` tidy up; a second one does not wait for that."""
    if is_importing(frame):
        _end()  # there is nothing to tidy up
    _on_ctrl_c(_end)
    raise KeyboardInterrupt


def is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported, where an exception does harm.

    A library written in C or C++ that meets it may abort the process, as JAX's do.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _end(*received: object) -> None:
    with suppress(OSError):  # the terminal may be gone
        os.write(2, b"evoptax: stopped\n")
    os._exit(STOPPED)


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Where Python can only print an exception, as in a destructor, Ctrl-C would be lost."""
    if unraisable.exc_type is KeyboardInterrupt:
        _end()
    sys.__unraisablehook__(unraisable)


def _open_missing_streams() -> None:
    """Puts /dev/null where a standard stream is closed, or the next file opened would be it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def _internal_error(error: Exception, debug: bool) -> int:
    """Says that evoptax is at fault; the traceback where it is wanted."""
    import traceback

    if debug:
        traceback.print_exception(error)
    what = " ".join(f"{type(error).__name__}: {error}".split("\n")[0].split())
    hint = "" if debug else "; run again with --debug for the traceback"
    print(f"evoptax: internal error: {what}{hint}", file=sys.stderr)
    return 1
