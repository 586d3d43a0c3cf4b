"""What the progress bars show beyond rich's own columns."""

from __future__ import annotations

from rich.progress import ProgressColumn, Task
from rich.text import Text


class Rate(ProgressColumn):
    """`12,345/s` of what the task counts; nothing until there are two points to tell it from."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")


class EventRate(ProgressColumn):
    """`12,345/s` of a task's field `events`, since it had `began` of them; nothing before the first second."""

    def render(self, task: Task) -> Text:
        seconds = task.elapsed or 0
        shown = seconds > 1 and task.fields["events"] > task.fields["began"]
        rate = (task.fields["events"] - task.fields["began"]) / seconds if shown else 0
        return Text(f"{rate:,.0f}/s" if shown else "", style="progress.data.speed")
