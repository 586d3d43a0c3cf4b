"""`readership`, which kills itself (kill -9) when it has done the step of a rebuild that the environment names."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from service.cli import main as readership
from workers import rebuild
from workers.jobs.ledger import Ledger

VARIABLE = "READERSHIP_TEST_DIES_AFTER"
MAIN = "from tests.dying import main; main()"

# The last is done when all is done and the ledger has not heard of it.
STEPS = ("begin", "build", "catch_up", "swap", "end", "all of it")

Step = Callable[..., Coroutine[Any, Any, Any]]


def main() -> None:
    step = os.environ.pop(VARIABLE, "")
    if step == STEPS[-1]:
        Ledger.finish = _die  # type: ignore[method-assign, assignment]
    elif step:
        setattr(rebuild, step, _then_die(getattr(rebuild, step)))
    readership()


def _then_die(step: Step) -> Step:
    async def done(*arguments: Any, **named: Any) -> None:
        await step(*arguments, **named)
        await _die()

    return done


async def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
