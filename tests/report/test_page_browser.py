"""The page in a real browser: the figures are drawn and can be saved, nothing is wider than the window."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from alphadia_tl.report.page import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", "--dump-dom")
PROBE = """<script>
window.addEventListener("load", () => setTimeout(() => {
  const drawn = [...document.querySelectorAll("figure")].filter(f => f.querySelector("svg.main-svg .xy path")
    && f.querySelector(".modebar-btn[data-title='Save as SVG']"));
  const cut = [...document.querySelectorAll(".wide")].filter(t => t.scrollWidth > t.clientWidth);
  document.title = `${drawn.length} ${document.documentElement.scrollWidth} ${window.innerWidth} ${cut.length}`;
}, 3000));
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
@pytest.mark.parametrize("width", [1280, 1200, 1010, 800])
def test_figures_are_drawn_and_fit_the_window(bundle, tmp_path, width):
    write_report(bundle)
    text = bundle.report.read_text(encoding="utf-8")
    page = tmp_path / "page.html"
    page.write_text(text.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--window-size={width},900", f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    told = re.search(r"<title>(\d+) (\d+) (\d+) (\d+)</title>", done.stdout)
    drawn, needed, shown, cut = map(int, told.groups())
    assert drawn == text.count("<figure>") > 10
    assert needed <= shown
    assert cut == 0, "tables that need a bar to be read"
    assert abs(shown - width) <= 20
