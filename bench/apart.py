"""A function in a process of its own: what makes load shares no lock and no memory with what is measured."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

# One that hangs ends the bench with an error.
SECONDS = 100


class Failed(Exception):
    """The function raised, hung or took its process down; the message is the traceback where there is one."""


def apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`within` SECONDS."""
    return within(SECONDS, function, *args, **kwargs)


def within(seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The function's result; function, arguments and result must pickle.

    Raises:
        Failed: there is no result.
    """
    # spawn: a forked child of a process that holds threads or an engine hangs.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, function, args, kwargs), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise Failed(f"{function.__name__} took longer than {seconds} s")
        result, fault = receiver.recv()
        process.join(5)
    except EOFError:
        raise Failed(f"the process of {function.__name__} ended without a word") from None
    finally:
        process.kill()
        process.join()
    if fault is not None:
        raise Failed(fault)
    value: T = result
    return value


def _run(
    sender: Connection, function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    try:
        outcome: tuple[object, str | None] = (function(*args, **kwargs), None)
    except Exception:
        outcome = (None, traceback.format_exc())
    sender.send(outcome)
