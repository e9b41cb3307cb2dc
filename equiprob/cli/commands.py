"""The commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from equiprob.cli.limits import failures_of, gate_of
from equiprob.cli.output import GATE_FAILED, Refusals, answer, of_table, say, writable

_FILE = click.Path(dir_okay=False, path_type=Path)
_SEED = click.IntRange(0, 2**32 - 1)

_data = [
    click.option(
        "--data",
        type=_FILE,
        required=True,
        help="Arrays with rows first: .npz (numpy.savez), .npy, .h5, .zarr, .xyz, .csv, .parquet.",
    ),
    click.option(
        "--transform",
        required=True,
        help='What moves the inputs, such as "rotations2d(max_angle=30deg)".',
    ),
    click.option("--target", help="The array of targets in --data: numbers, or class labels."),
    click.option(
        "--input",
        "inputs",
        multiple=True,
        help="The array of inputs in --data; x if left out. Repeat it for several.",
    ),
    click.option("--groups", help="The array that says which rows belong together."),
    click.option(
        "--seed", type=_SEED, default=0, show_default=True, help="Of all that is drawn at random."
    ),
    click.option(
        "--draws",
        type=click.IntRange(50, 1_000_000),
        default=4000,
        show_default=True,
        help="Draws of each posterior.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of words."),
]

_TRANSFORMS = """
\b
Transforms, among others:
  rotations2d(max_angle=30deg)      images turned by up to 30 degrees
  cyclic(4)                         quarter turns, which do not blur
  translations(2, acts_on="image")  images shifted by up to 2 pixels
  rotations3d(acts_on={"positions": "points", "charges": "invariant"})
  rotations2d(acts_on="image_channels_first")
                                    images (channel, height, width), of PyTorch
  cyclic(2, output_action=by_element(array("swap")))
                                    outputs move by matrices, or orders, in --data
"""


def _with(options: list[Any]) -> Any:
    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.group(
    cls=Refusals,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""
\b
To see it at work:          equiprob demo
With models of your own:    equiprob audit --help

Exit codes: 0 done, 2 bad input, 3 a stated limit is not met, 70 a fault of equiprob.
""",
)
@click.version_option(package_name="equiprob")
def main() -> None:
    """Measure how equivariant models are, and how much symmetry to build in."""


@main.command(
    short_help="Answer every question about one or several models.",
    epilog=f"""
\b
Examples:
  equiprob audit --model cnn.onnx --data test.npz --target y \\
    --transform "rotations2d(max_angle=30deg)" --report audit.html
  equiprob audit --model cnn=a.onnx --model c4=b.onnx --data test.npz \\
    --target y --transform "cyclic(4)" --max-error 0.02
{_TRANSFORMS}
\b
The file of data is written in Python, with rows no model was trained on:
  numpy.savez("test.npz", x=images, y=labels)
""",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    help="An ONNX file; a function as package.module:function or file.py:function, which is "
    "imported, and runs; a program of PyTorch (.pt, .pt2). Or name=model; repeat it to compare.",
)
@_with(_data)
@click.option("--train", type=_FILE, help="A file of the training rows, named as in --data.")
@click.option("--output", help="Which output of the model, by name, where it has several.")
@click.option(
    "--batch-dependent",
    is_flag=True,
    help="Accept models whose output for a row depends on the rest of its batch.",
)
@click.option("--softmax", is_flag=True, help="The output is logits: take their softmax.")
@click.option(
    "--n-transforms",
    type=click.IntRange(1, 100_000),
    default=16,
    show_default=True,
    help="Transformations of each row.",
)
@click.option(
    "--rope",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="A difference in risk that makes none in practice.",
)
@click.option("--report", type=_FILE, help="Write a page with figures here (HTML).")
@click.option("--save", type=_FILE, help="Write the results here (netCDF).")
@click.option("--max-error", type=float, help="Exit with 3 unless each error is at most this ...")
@click.option(
    "--credibility", type=float, default=0.95, show_default=True, help="... with this probability."
)
@click.option("--relative", is_flag=True, help="--max-error is a share of the output's variation.")
@click.option(
    "--bound",
    type=float,
    help="Largest possible squared error of one pair (2 for probabilities): certify --max-error.",
)
def audit(
    models: tuple[str, ...],
    data: Path,
    transform: str,
    target: str | None,
    inputs: tuple[str, ...],
    groups: str | None,
    seed: int,
    draws: int,
    as_json: bool,
    train: Path | None,
    output: str | None,
    batch_dependent: bool,
    softmax: bool,
    n_transforms: int,
    rope: float,
    report: Path | None,
    save: Path | None,
    max_error: float | None,
    credibility: float,
    relative: bool,
    bound: float | None,
) -> None:
    """Answer every question about one or several ONNX models.

    How equivariant each is, how symmetric the task is, what averaging over the transformations
    would save, and which model to ship: in words, and with --report as a page with figures. All
    questions of risk need --target.
    """
    import equiprob as ep
    from equiprob.cli.expressions import parse_transform
    from equiprob.cli.files import NamedArrays, read_data, read_models

    for path in (report, save):
        writable(path)
    gate = gate_of(max_error, credibility=credibility, relative=relative, bound=bound)
    named = NamedArrays(data)
    parsed = parse_transform(transform, named)
    rows = read_data(data, inputs, target, groups, named.used)
    trained = None
    if train is not None:
        if target is None:
            raise ValueError("--train needs --target: the gap is one of risks")
        part = read_data(train, inputs, target, None, named.used)
        trained = (part.x, part.y)
    found = ep.audit(
        read_models(models, output, softmax=softmax),
        rows.x,
        rows.y,
        parsed,
        train=trained,
        groups=rows.groups,
        n_transforms=n_transforms,
        batch_dependent=batch_dependent,
        rope=rope,
        seed=seed,
        n_draws=draws,
        backend="python",
        progress=False,
    )
    if save is not None:
        found.save(save)
        say(f"Results: {save}")
    if report is not None:
        found.report(report)
        say(f"Report: {report}")
    failures = [] if gate is None else failures_of(gate, found)
    answer(
        str(found),
        {
            "verdict": found.verdict,
            "summary": of_table(found.summary()),
            "missing": of_table(found.missing),
            "facts": found.facts.as_dict(),
            "gate": None if gate is None else {"passed": not failures, "failures": failures},
        },
        as_json=as_json,
    )
    for failure in failures:
        say(failure)
    if failures:
        click.get_current_context().exit(GATE_FAILED)


@main.command(
    short_help="Check how a transform acts on your arrays.",
    epilog=f"""
\b
Example:
  equiprob check --data test.npz --transform "rotations2d(max_angle=30deg)"
{_TRANSFORMS}""",
)
@_with(_data)
def check(
    data: Path,
    transform: str,
    target: str | None,
    inputs: tuple[str, ...],
    groups: str | None,
    seed: int,
    draws: int,
    as_json: bool,
) -> None:
    """Check how a transform acts on your arrays, and whether moved ones are as likely.

    The first says whether shapes and declarations fit, and how much interpolation blurs; the
    second, whether moved inputs can be told from those in the file. No model is needed.
    """
    import equiprob as ep
    from equiprob.cli.expressions import parse_transform
    from equiprob.cli.files import NamedArrays, read_data

    named = NamedArrays(data)
    parsed = parse_transform(transform, named)
    rows = read_data(data, inputs, target, groups, named.used)
    action = ep.check_action(parsed, rows.x, rows.y, seed=seed)
    law = ep.InvarianceCheck(seed=seed, n_draws=draws).fit(rows.x, parsed, groups=rows.groups)
    answer(
        f"{action}\n{law}",
        {
            "action": {"status": action.status, "leaves": of_table(action.table)},
            "law": {"verdict": str(law), "summary": of_table(law.summary())},
        },
        as_json=as_json,
    )


@main.command(
    short_help="Fit learning curves to a table of training runs.",
    epilog="""
\b
Example:
  equiprob curve runs.csv --at 10000 --report curves.html
\b
  candidate,n,seed,risk
  cnn,100,0,0.31
  cnn,1000,0,0.17
  c4,100,0,0.22
  ...
""",
)
@click.argument("runs", type=_FILE)
@click.option(
    "--at",
    type=click.FloatRange(1),
    multiple=True,
    help="A number of rows to judge at; repeat it for several.",
)
@click.option(
    "--seed", type=_SEED, default=0, show_default=True, help="Of all that is drawn at random."
)
@click.option(
    "--draws",
    type=click.IntRange(50, 100_000),
    default=4000,
    show_default=True,
    help="Draws of the posterior.",
)
@click.option("--risk-max", type=float, help="The largest possible risk: 1 for rates of errors.")
@click.option("--report", type=_FILE, help="Write a page with figures here (HTML).")
@click.option("--save", type=_FILE, help="Write the result here (netCDF).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of words.")
def curve(
    runs: Path,
    at: tuple[float, ...],
    seed: int,
    draws: int,
    risk_max: float | None,
    report: Path | None,
    save: Path | None,
    as_json: bool,
) -> None:
    """Fit learning curves to a table of training runs, and say which candidate wins, and where.

    RUNS is a CSV file, a line for each training: its candidate, the number n of training rows, the
    seed, and the risk on fresh rows. Further columns: risk_se (the risk's standard error), error
    (the model's equivariance error, for the optimal level) and error_se.
    """
    import equiprob as ep
    from equiprob.cli.files import read_table
    from equiprob.report.curve_page import curve_page

    for path in (report, save):
        writable(path)
    estimator = ep.LearningCurve(seed=seed, n_draws=draws, risk_max=risk_max)
    result = estimator.fit(read_table(runs))
    if save is not None:
        result.save(save)
        say(f"Result: {save}")
    if report is not None:
        curve_page(result, sizes=at).write(report)
        say(f"Report: {report}")
    best = {f"{n:g}": {str(k): p for k, p in result.p_best(n).items()} for n in at}
    words = [str(result)]
    words += [f"At n = {n}: {_listed(p)}." for n, p in best.items()]
    data = {"verdict": str(result), "summary": of_table(result.summary()), "p_best": best}
    answer("\n".join(words), data, as_json=as_json)


def _listed(probabilities: dict[str, float]) -> str:
    ordered = sorted(probabilities.items(), key=lambda item: -item[1])
    return "P(best) " + ", ".join(f"{p:.2f} '{name}'" for name, p in ordered)


@main.command(
    short_help="Write the page of an audit, or of a result, that was saved.",
    epilog="""
\b
Example:
  equiprob audit ... --save audit.nc
  equiprob report audit.nc --output audit.html
""",
)
@click.argument("saved", type=_FILE)
@click.option("--output", type=_FILE, help="The page; the name of the file with .html if left out.")
def report(saved: Path, output: Path | None) -> None:
    """Write the page of an audit, or of one result, that was saved.

    SAVED is a file that --save wrote, or .save() in Python.
    """
    import equiprob as ep
    from equiprob.auditing.findings import Audit
    from equiprob.curves.result import LearningCurveResult
    from equiprob.report.audit_page import result_page
    from equiprob.report.curve_page import curve_page

    target = saved.with_suffix(".html") if output is None else output
    writable(target)
    found = ep.load(saved)
    if isinstance(found, Audit):
        written = found.report(target)
    else:
        is_curve = isinstance(found, LearningCurveResult)
        written = (curve_page(found) if is_curve else result_page(found)).write(target)
    click.echo(str(written))


@main.command(
    short_help="See it at work on handwritten digits, in a minute.",
    epilog="""
\b
Example:
  equiprob demo --output digits      and then open digits/index.html
""",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("equiprob-demo"),
    show_default=True,
    help="The folder to write figures and the page to.",
)
@click.option(
    "--seed", type=_SEED, default=0, show_default=True, help="Of all that is drawn at random."
)
def demo(output: Path, seed: int) -> None:
    """Train small networks on handwritten digits and decide which to ship."""
    from equiprob.demo.run import run_demo

    run_demo(output, seed=seed, say=click.echo)
