"""`python -m betavae STEP [--log FILE] --option value …`: every step of the workflow, from file to file.

A step is a module of this package with a function `main`, whose keyword arguments are the options.
"""

from __future__ import annotations

import gc
import importlib
import sys
from pathlib import Path
from types import ModuleType

from betavae.job import run_logged


def steps() -> list[str]:
    """The modules of this package that are steps."""
    here = Path(__file__).parent
    return sorted(path.stem for path in here.glob("*.py") if "\ndef main(" in path.read_text(encoding="utf-8"))


def imported(step: str) -> ModuleType:
    """The module of a step.

    Libraries make objects by the hundred thousand, and hardly one is garbage: to look for it among them while they are
    imported, and once more at the exit, takes a quarter of a short step's time.
    """
    gc.disable()
    module = importlib.import_module(f"betavae.{step}")
    gc.freeze()
    gc.enable()
    return module


def run(arguments: list[str]) -> int:
    """Run one step; returns its exit status."""
    step, *options = arguments or [""]
    if step not in steps():
        print(f"betavae: no step {step!r}; the steps are {', '.join(steps())}", file=sys.stderr)
        return 2
    log = None
    if "--log" in options:
        at = options.index("--log")
        log = Path(options[at + 1])
        del options[at : at + 2]

    def call() -> None:
        from cyclopts import App, Parameter

        app = App(
            name=f"betavae {step}", result_action="return_value", default_parameter=Parameter(consume_multiple=True)
        )
        app.default(imported(step).main)
        app(options)

    return run_logged(step, log, options, call)


if __name__ == "__main__":
    status = run(sys.argv[1:])
    gc.freeze()  # as `imported` does: nothing is looked for at the exit
    sys.exit(status)
