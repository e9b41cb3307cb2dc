"""The report in a real browser: it fits a phone and a wide screen, and asks for nothing."""

import re
import shutil
import subprocess

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
  document.title = `${{e.scrollWidth}} of ${{e.clientWidth}}, figures ${{shown}}`;
}};
</script></body>"""


def measured(folder, width):
    """Return how wide the page is, of how many pixels, and whether its figures are shown."""
    (folder / "probe.html").write_text(PROBE.format(width=width))
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files")
    profile = f"--user-data-dir={folder / 'profile'}"
    url = (folder / "probe.html").as_uri()
    command = [BROWSER, *flags, profile, "--virtual-time-budget=5000", "--dump-dom", url]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"<title>(\d+) of (\d+), figures (\w+)</title>", dom)
    assert found, dom[-500:]
    return int(found[1]), int(found[2]), found[3] == "true"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    task = linear_task(40, optimum=0.4, seed=0)
    table = ep.evaluate_orbits(task.predict, task.x, task.transform, y=task.y, backend="python")
    result_page(ep.ModelEquivarianceError(n_draws=100).fit(table)).write(folder / "page.html")
    return folder


@pytest.mark.parametrize("width", [390, 1600])
def test_the_page_fits_its_screen(folder, width):
    wide, there, shown = measured(folder, width)
    assert wide <= there
    assert shown


def test_the_measurement_has_power(folder, tmp_path):
    page = (folder / "page.html").read_text()
    wider = page.replace("<main>", '<main><div style="width:2000px">wide</div>')
    (tmp_path / "page.html").write_text(wider)
    wide, there, _ = measured(tmp_path, 390)
    assert wide > there
