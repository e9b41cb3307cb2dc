"""The report in a real browser: it fits a phone and a wide screen, and asks for nothing."""

import re
import shutil
import subprocess
from typing import NamedTuple

import matplotlib as mpl
import pytest

import equiprob as ep
from equiprob.report.audit_page import result_page
from equiprob.testing import linear_task

mpl.use("Agg")

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

PROBE = """<body style="margin:0">
<iframe id="f" src="page.html" style="width:{width}px;height:2000px"></iframe><script>
onload = () => {{
  const d = document.getElementById("f").contentDocument, e = d.documentElement;
  const shown = [...d.images].every(i => i.complete && i.naturalWidth > 0);
  const skip = d.querySelector(".skip");
  skip.focus();
  const reached = skip.getBoundingClientRect().left >= 0;
  const style = element => d.defaultView.getComputedStyle(element);
  const light = colour => {{
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(c => c / 255)
      .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }};
  const paper = light(style(d.body).backgroundColor);
  const contrasts = ["body", "figcaption", "th", ".assumed", "p"].map(chosen => {{
    const ink = light(style(d.querySelector(chosen)).color);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  }});
  document.title = `${{e.scrollWidth}} of ${{e.clientWidth}}, figures ${{shown}}, ` +
    `skip ${{reached}}, paper ${{paper.toFixed(2)}}, ` +
    `contrast ${{Math.min(...contrasts).toFixed(1)}}`;
}};
</script></body>"""


class Seen(NamedTuple):
    """What a browser makes of the page."""

    wide: int  # pixels
    there: int
    figures: bool
    skip: bool  # whether the link past the contents appears when a keyboard reaches it
    paper: float  # luminance of the background
    contrast: float  # of the faintest words, as WCAG has it


def seen(folder, width=1400, *flags):
    """Return what the browser makes of page.html at a width."""
    (folder / "probe.html").write_text(PROBE.format(width=width))
    always = ("--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files")
    profile = f"--user-data-dir={folder / 'profile'}"
    url = (folder / "probe.html").as_uri()
    command = [BROWSER, *always, *flags, profile, "--virtual-time-budget=5000", "--dump-dom", url]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(
        r"<title>(\d+) of (\d+), figures (\w+), skip (\w+), paper ([\d.]+), contrast ([\d.]+)<",
        dom,
    )
    assert found, dom[-500:]
    wide, there, figures, skip, paper, contrast = found.groups()
    return Seen(
        int(wide), int(there), figures == "true", skip == "true", float(paper), float(contrast)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    task = linear_task(40, optimum=0.4, seed=0)
    table = ep.evaluate_orbits(task.predict, task.x, task.transform, y=task.y, backend="python")
    result_page(ep.ModelEquivarianceError(n_draws=100).fit(table)).write(folder / "page.html")
    return folder


@pytest.mark.parametrize("width", [390, 1600])
def test_the_page_fits_its_screen(folder, width):
    page = seen(folder, width)
    assert page.wide <= page.there
    assert page.figures
    assert page.skip


DARK = "--blink-settings=preferredColorScheme=0"


@pytest.mark.parametrize(("flags", "is_dark"), [((), False), ((DARK,), True)])
def test_words_stand_out_from_light_and_from_dark_paper(folder, flags, is_dark):
    page = seen(folder, 1400, *flags)
    assert (page.paper < 0.1) == is_dark
    assert page.contrast >= 4.5  # WCAG 2, level AA


def test_the_measurement_has_power(folder, tmp_path):
    page = (folder / "page.html").read_text()
    wider = page.replace("<main>", '<main><div style="width:2000px">wide</div>')
    fainter = wider.replace("--soft: #525b66", "--soft: #999999")
    hidden = fainter.replace(".skip:focus { left: .5rem;", ".skip:focus {")
    assert len({page, wider, fainter, hidden}) == 4
    (tmp_path / "page.html").write_text(hidden)
    found = seen(tmp_path, 390)
    assert found.wide > found.there
    assert found.contrast < 4.5
    assert not found.skip
