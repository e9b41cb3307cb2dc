"""One self-contained HTML page: the verdict first, then figures, tables and how to repeat them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.arguments.whole_files import replacing
from equiprob.plots.style import narrow
from equiprob.report.vocabulary import explained

if TYPE_CHECKING:
    import pandas as pd

_NARROW = 4.0
"""Width in inches at which a figure is drawn for a phone, where shrunk words are not legible."""


_FULL = 7.0
"""Width in inches of a figure that is as wide as the text."""

_TEXT_WIDTH = 46
"""Width of the text, as the style of the page has it, in rem."""


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

    @cached_property
    def width_rem(self) -> float:
        """How wide it is on the page at most, so that words have one size in all figures."""
        return round(_TEXT_WIDTH * min(self.figure.get_size_inches()[0] / _FULL, 1), 1)

    @cached_property
    def data_uri(self) -> str:
        """The figure as an SVG data address."""
        return _data_uri(self.figure)

    @cached_property
    def narrow_data_uri(self) -> str:
        """The figure for a narrow screen: drawn small, rather than shrunk."""
        if self.figure.get_size_inches()[0] <= _NARROW:
            return self.data_uri
        _ = self.data_uri, self.width_rem  # as it was made, before it is narrowed
        narrow(self.figure, _NARROW)
        return _data_uri(self.figure)


def _data_uri(figure: Any) -> str:
    import matplotlib as mpl

    buffer = io.BytesIO()
    # No date and a fixed salt keep the page the same from run to run.
    with mpl.rc_context({"svg.hashsalt": "equiprob"}):
        # A constrained layout settles in the first drawing and may move in the second.
        figure.draw_without_rendering()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Args:
        heading: Its title, best a question.
        paragraphs: Plain words.
        figures: Figures below them.
        table: A table below those.
        table_caption: What the table holds.
        assumptions: What has to be true for this part to hold.
        notes: What was found on the way, or is withheld and why.
        cautions: What limits the belief in this part.
    """

    heading: str
    paragraphs: Sequence[str] = ()
    figures: Sequence[FigureBlock] = ()
    table: pd.DataFrame | None = None
    table_caption: str = ""
    assumptions: str = ""
    notes: Sequence[str] = ()
    cautions: Sequence[str] = ()

    @property
    def texts(self) -> list[str]:
        """All that is to be read in it."""
        words = [self.heading, *self.paragraphs, *(block.caption for block in self.figures)]
        words += [self.table_caption, self.assumptions, *self.notes, *self.cautions]
        return words + self.columns + [cell for row in self.rows for cell in row]

    @property
    def columns(self) -> list[str]:
        """The names of the table's columns, the index first."""
        return [] if self.table is None else [str(c) for c in self.table.reset_index().columns]

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the table in words, numbers to three digits."""
        if self.table is None:
            return []
        return [
            [in_words(v) for v in row] for row in self.table.reset_index().itertuples(index=False)
        ]


def in_words(value: Any) -> str:
    """Return a value as a reader wants it: numbers that are not whole to three digits."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.3g}"
    return str(value)


@dataclass(frozen=True)
class Page:
    """A report of one question.

    Args:
        title: The question.
        verdict: The answer, first thing on the page.
        sections: The parts.
        reproduction: Name and value of what a reader needs to get the same numbers.
        code: The calls that make them.
    """

    title: str
    verdict: Sequence[str]
    sections: Sequence[Section] = field(default_factory=tuple)
    reproduction: Sequence[tuple[str, str]] = ()
    code: str = ""

    @property
    def vocabulary(self) -> list[tuple[str, str]]:
        """The words on the page that a reader may not know, and what each means."""
        return explained(
            [self.title, *self.verdict, *(text for s in self.sections for text in s.texts)]
        )

    def html(self) -> str:
        """Return the page."""
        from jinja2 import Environment, PackageLoader

        environment = Environment(
            loader=PackageLoader("equiprob.report", "."),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("page.html.j2").render(page=self)

    def write(self, path: str | Path) -> Path:
        """Write the page, whole or not at all, and return where it is."""
        target, text = Path(path), self.html()
        with replacing(target) as partial:
            partial.write_text(text, encoding="utf-8")
        return target
