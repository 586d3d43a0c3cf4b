"""The README's console blocks: run against a service, and written anew by `make readme`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from service.settings import ENV_PREFIX, Settings
from tests.process import ServiceProcess
from tests.spool_status import Spool
from workers.metrics import Metrics

REPOSITORY = Path(__file__).resolve().parent.parent
README = REPOSITORY / "README.md"
LOG = REPOSITORY.parent / "shared" / "data" / "semicomplete_access.log"
WRITTEN_FOR = "http://127.0.0.1:8000"

_BLOCK = re.compile(r"(?<=```console\n)(.*?)(?=```)", re.DOTALL)
_SETTINGS = re.compile(r"^\| setting \|.*\n(?:\|.*\n)*", re.MULTILINE)
_METRICS = re.compile(r"^\| metric \|.*\n(?:\|.*\n)*", re.MULTILINE)
# When it was computed, and rows read, of which there are fewer after a merge.
_CHANGING = re.compile(r'(?<="as_of":")[^"]*|(?<=_rows":)\d+|(?<=about )\d+(?= rows)|(?<= )\d+(?= *$)', re.MULTILINE)


def run_blocks(text: str, service: ServiceProcess, *, with_log: bool) -> str:
    """The text with every command's output as it comes out now; without the log its block stays as it is."""

    def rerun(block: re.Match[str]) -> str:
        if LOG.name in block[0] and not with_log:
            return block[0]
        commands = [line for line in block[0].splitlines() if line.startswith("$ ")]
        return "".join(f"{command}\n{_run(command.removeprefix('$ '), service)}" for command in commands)

    return _BLOCK.sub(rerun, text)


def settled(text: str) -> str:
    """Without what differs from run to run."""
    return _CHANGING.sub("…", text)


def settings_table() -> str:
    """One row a setting, from the code."""
    rows = ["| setting | default | what it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        rows.append(f"| `{ENV_PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "".join(f"{row}\n" for row in rows)


def written_settings_table(text: str) -> str:
    found = _SETTINGS.search(text)
    return found[0] if found else ""


def metrics_table() -> str:
    """One row a metric of the service's own, from its registry."""
    metrics = Metrics()
    metrics.watch_spool(Spool())
    metrics.watch_spool(Spool(), of="sample_", rows="samples")
    metrics.watch_dead_letters(int)
    rows = ["| metric | kind | what it says |", "|---|---|---|"]
    for family in metrics.registry.collect():
        if family.name.startswith("readership_"):
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            name = {"counter": f"{family.name}_total", "info": f"{family.name}_info"}.get(family.type, family.name)
            shown = f"`{name}`" + "".join(f" by `{label}`" for label in sorted(labels))
            rows.append(f"| {shown} | {family.type} | {family.documentation} |")
    return "".join(f"{row}\n" for row in rows)


def written_metrics_table(text: str) -> str:
    found = _METRICS.search(text)
    return found[0] if found else ""


def _run(command: str, service: ServiceProcess) -> str:
    done = subprocess.run(
        ["bash", "-c", command.replace(WRITTEN_FOR, service.url)],
        capture_output=True,
        text=True,
        cwd=service.log.parent,
        env={**service.environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        timeout=120,
        check=True,
    )
    output = done.stdout.replace(service.url, WRITTEN_FOR)
    return output if output.endswith("\n") else f"{output}\n"


def main() -> None:
    """Rewrites the README's outputs and its tables of settings and metrics."""
    text = README.read_text()
    with tempfile.TemporaryDirectory() as folder, ServiceProcess(Path(folder) / "data") as service:
        link_log(Path(folder))
        text = run_blocks(text, service, with_log=LOG.exists())
    text = _SETTINGS.sub(lambda _: settings_table(), text)
    README.write_text(_METRICS.sub(lambda _: metrics_table(), text))


def link_log(folder: Path) -> None:
    """Puts the log where the commands look for it, if it is there."""
    if LOG.exists():
        (folder / LOG.name).symlink_to(LOG)


if __name__ == "__main__":
    main()
