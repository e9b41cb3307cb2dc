"""The command line."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="equiprob")
def main() -> None:
    """Measure how equivariant models are, and how much symmetry to build in."""


@main.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("equiprob-demo"),
    show_default=True,
    help="The folder to write figures and the page to.",
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
def demo(output: Path, seed: int) -> None:
    """Train small networks on handwritten digits and decide which to ship."""
    from equiprob.demo.run import run_demo

    run_demo(output, seed=seed, say=click.echo)
