"""SVG and HTML in a real browser: headless Chromium. Skipped where there is none, unless PLANNER_REQUIRE_BROWSER=1."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from planner.report.panels import Clock, Panel
from planner.report.timeline_svg import page, svg
from tests.report.timelines import panel

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--window-size=1400,1000",
)
BOX = re.compile(r'<rect class="box [^"]*"')

PROBE = """
<script>
var bad = [], svg = document.querySelector("svg.timeline"), frame = document.querySelector(".drawing");
var all = svg.getBoundingClientRect(), boxes = svg.querySelectorAll("rect.box").length;
function place(e) { return e.getBoundingClientRect(); }
function beside(a, b) { return a.left >= b.left - 0.5 && a.right <= b.right + 0.5; }
var plain = [];
svg.querySelectorAll("text").forEach(function (t) {
  var r = place(t), inside = t.classList.contains("in");
  if (!beside(r, all) || r.top < all.top || r.bottom > all.bottom) bad.push("leaves the drawing: " + t.textContent);
  if (inside && !beside(r, place(t.previousElementSibling))) bad.push("leaves its box: " + t.textContent);
  if (!inside) plain.push([t.textContent, r]);
});
plain.forEach(function (a, i) {
  plain.slice(i + 1).forEach(function (b) {
    var r = a[1], s = b[1];
    if (r.left < s.right && s.left < r.right && r.top + 2 < s.bottom && s.top + 2 < r.bottom)
      bad.push("overlap: " + a[0] + " / " + b[0]);
  });
});
function width(button) { document.getElementById(button).click(); return place(svg).width; }
var natural = svg.viewBox.baseVal.width, opened = all.width <= frame.clientWidth + 1;
var works = opened && width("in") > all.width && width("out") < all.width * 1.01;
works = works && width("fit") <= frame.clientWidth + 1 && Math.abs(width("full") - natural) < 1;
document.body.setAttribute("data-probe", JSON.stringify({boxes: boxes, bad: bad.slice(0, 5), works: works}));
</script>
"""
"""Measures in the browser what only a browser knows: where text ends up, and whether the buttons work."""


@pytest.fixture(scope="module")
def chromium(request: pytest.FixtureRequest) -> str:
    """Path of the browser, which draws the same whatever versions of packages are tested."""
    if request.config.getoption("--thin") > 1:
        pytest.skip("a thin run")
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        if os.environ.get("PLANNER_REQUIRE_BROWSER") == "1":
            pytest.fail("PLANNER_REQUIRE_BROWSER=1, but there is no Chromium")
        pytest.skip("no Chromium")
    return found


def browse(chromium: str, page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a file with a fresh profile."""
    profile = page.parent / "profile"
    command = [chromium, *FLAGS, f"--user-data-dir={profile}", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    shutil.rmtree(profile, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-2000:]
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not said, said
    return done


def figures() -> list[tuple[str, list[Panel], Clock, int]]:
    """Name, panels, clock, boxes."""
    split = {"I": 0.5, "W": 0.5}
    several = [panel("gpipe", 4, 8), panel("interleaved", 4, 8, 2), panel("zb-h1", 4, 8, times=split)]
    return [
        ("one", [panel("1f1b", 4, 8)], Clock(), 64),
        ("several", several, Clock(), 64 + 128 + 96),
        ("seconds", [panel("interleaved", 4, 16, 4, times={"F": 0.031, "B": 0.0633})], Clock(False), 512),
        ("tiny", [panel("1f1b", 1, 1)], Clock(), 2),
        ("large", [panel("1f1b", 16, 128)], Clock(), 4096),
    ]


@pytest.mark.parametrize(("name", "panels", "clock", "boxes"), figures(), ids=[f[0] for f in figures()])
def test_page(chromium: str, tmp_path: Path, name: str, panels: list[Panel], clock: Clock, boxes: int) -> None:
    """No console message, every box there, no text outside its place, buttons that work."""
    path = tmp_path / f"{name}.html"
    path.write_text(page(panels, clock).replace("</body>", PROBE + "</body>"), encoding="utf-8")
    dom = browse(chromium, path, "--dump-dom").stdout
    assert len(BOX.findall(dom)) == boxes
    assert '<output id="zoom">100 %</output>' in dom
    probe = re.search(r'data-probe="([^"]*)"', dom)
    assert probe and probe[1].replace("&quot;", '"') == f'{{"boxes":{boxes},"bad":[],"works":true}}'


def test_drawing_alone(chromium: str, tmp_path: Path) -> None:
    """The SVG file opens by itself, with all its boxes."""
    path = tmp_path / "one.svg"
    path.write_text(svg([panel("1f1b", 4, 8)], Clock()), encoding="utf-8")
    assert len(BOX.findall(browse(chromium, path, "--dump-dom").stdout)) == 64


@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
def test_screenshot_shows_the_drawing(chromium: str, tmp_path: Path, scheme: int) -> None:
    """A picture of the size asked for, with more in it than a blank page; PLANNER_SCREENSHOTS keeps it."""
    path, shot = tmp_path / "one.svg", tmp_path / "one.png"
    path.write_text(svg([panel("1f1b", 4, 8)], Clock()), encoding="utf-8")
    browse(chromium, path, f"--screenshot={shot}", f"--blink-settings=preferredColorScheme={scheme}")
    data = shot.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", data[16:24])[0] == 1400
    assert len(data) > 15_000
    if os.environ.get("PLANNER_SCREENSHOTS"):
        shutil.copy(shot, Path(os.environ["PLANNER_SCREENSHOTS"]) / f"one-{scheme}.png")
