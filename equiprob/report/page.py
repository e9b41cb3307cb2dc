"""One self-contained HTML page: the verdict first, then figures, tables and how to repeat them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FigureBlock:
    """A figure on the page.

    Args:
        figure: A Matplotlib figure.
        caption: What it shows, with its assumptions.
        description: The same for those who cannot see it.
    """

    figure: Any
    caption: str
    description: str

    @property
    def data_uri(self) -> str:
        """The figure as an SVG data address."""
        import matplotlib as mpl

        buffer = io.BytesIO()
        # No date and a fixed salt keep the page the same from run to run.
        with mpl.rc_context({"svg.hashsalt": "equiprob"}):
            # A constrained layout settles in the first drawing and may move in the second.
            self.figure.draw_without_rendering()
            self.figure.savefig(buffer, format="svg", metadata={"Date": None})
        return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Args:
        heading: Its title, best a question.
        paragraphs: Plain words.
        figures: Figures below them.
        table: A table below those.
    """

    heading: str
    paragraphs: Sequence[str] = ()
    figures: Sequence[FigureBlock] = ()
    table: pd.DataFrame | None = None

    @property
    def table_html(self) -> str:
        """The table as HTML, numbers to three digits."""
        if self.table is None:
            return ""
        return self.table.reset_index().to_html(
            index=False, border=0, float_format=lambda v: f"{v:.3g}", justify="left"
        )


@dataclass(frozen=True)
class Page:
    """A report of one question.

    Args:
        title: The question.
        verdict: The answer, first thing on the page.
        sections: The parts.
        reproduction: Name and value of what a reader needs to get the same numbers.
    """

    title: str
    verdict: Sequence[str]
    sections: Sequence[Section] = field(default_factory=tuple)
    reproduction: Sequence[tuple[str, str]] = ()

    def html(self) -> str:
        """Return the page."""
        from jinja2 import Environment, PackageLoader

        environment = Environment(loader=PackageLoader("equiprob.report", "."), autoescape=True)
        return environment.get_template("page.html.j2").render(page=self)

    def write(self, path: str | Path) -> Path:
        """Write the page and return where it is."""
        target = Path(path)
        target.write_text(self.html(), encoding="utf-8")
        return target
