"""A plan as a picture: every accelerator once, in its groups; what it sends; equal nodes as one."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from planner.api import recommend
from planner.questions.placement import MOST, placement
from planner.questions.ranked import Ranked
from planner.report.picture import WIDE, picture
from planner.training.wire import sent_bytes
from tests.report.test_browser import browse, chromium

__all__ = ["chromium"]

ASKED = {
    "dense": ("llama70b", "8x8xA100", {"tp": "4", "pp": "8"}),
    "experts": ("mixtral-8x7b", "8x8xH100", {"ep": "8", "pp": "2"}),
    "context": ("llama3-8b", "2x8xH100", {"cp": "4", "seq": 65536, "global_batch": 32}),
    "domain": ("llama70b", "2x72xGB200", {}),
    "one": ("gpt2-xl", "1xA100", {"global_batch": 8}),
    "giant": ("deepseek-v3", "2048x8xH100", {}),
}


@pytest.fixture(scope="module", params=ASKED)
def ranked(request: pytest.FixtureRequest) -> Ranked:
    """The first plan of each."""
    model, gpus, options = ASKED[request.param]
    first: Ranked = recommend(model, gpus, top=1, **options).found.ranked[0]
    return first


def test_groups_are_those_of_the_mesh(ranked: Ranked) -> None:
    """Along every axis each group has its size, each place in it once; ranks of a stage are neighbours."""
    plan, found = ranked.plan, placement(ranked)
    wide = {axis.name: axis.size for axis in found.axes}
    assert wide == {name: n for name in ("tp", "cp", "dp", "ep", "pp") if (n := getattr(plan, name)) > 1}
    for axis in found.axes:
        seen = Counter((axis.group(rank), axis.place(rank)) for rank in range(plan.gpus))
        assert set(seen.values()) == {1} and len(seen) == plan.gpus
        assert {place for _, place in seen} == set(range(axis.size))
    inner = plan.gpus // plan.pp
    for box in found.boxes:
        assert [one.number for one in box.stages] == sorted({rank // inner for rank in box.ranks})


def test_every_node_is_in_one_box(ranked: Ranked) -> None:
    """One by one where they are few; where they are many, few boxes, and what differs in one is said."""
    cluster, found = ranked.job.cluster, placement(ranked)
    nodes = [node for box in found.boxes for node in box.nodes]
    assert sorted(nodes) == list(range(cluster.nodes))
    assert len(found.boxes) <= MOST and (len(found.boxes) == cluster.nodes or cluster.nodes > MOST)
    for axis in found.axes:
        assert min(box.spans[axis.name][0] for box in found.boxes) == 0
        assert max(box.spans[axis.name][1] for box in found.boxes) == axis.size - 1


def test_holds_what_the_estimate_says(ranked: Ranked) -> None:
    """All layers, once each; the fullest stage is the fullest rank's and as full as it."""
    stages = {one.number: one for box in placement(ranked).boxes for one in box.stages}
    if len(stages) == ranked.plan.pp:
        assert sum(one.layers for one in stages.values()) >= ranked.job.model.layers
    assert max(one.peak for one in stages.values()) == pytest.approx(ranked.need)
    assert stages[0].first and stages[max(stages)].last


def test_drawn(ranked: Ranked) -> None:
    """Well formed; every shown accelerator has a stripe for each of its groups; nothing leaves the sheet."""
    drawn, found = picture(ranked), placement(ranked)
    root = ElementTree.fromstring(drawn)
    stripes = Counter(g.get("class") for g in root.iter("{http://www.w3.org/2000/svg}g"))
    shown = sum(len(box.ranks) for box in found.boxes)
    assert stripes == {f"s {axis.name}": shown for axis in found.axes}
    rects = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("x")]
    high = float(root.attrib["height"])
    assert all(float(r.attrib["x"]) + float(r.attrib["width"]) <= WIDE for r in rects)
    assert all(float(r.attrib["y"]) + float(r.attrib["height"]) <= high for r in rects)
    assert len(drawn) < 150_000


def test_sends_by_hand() -> None:
    """Llama 3.1 70B, tp 4, pp 8, dp 2, 256 micro-batches of 8,192 tokens in 16 bit, ZeRO-1.

    tp: two all-reduces a layer and pass of 8192*8192*2 bytes, 2*3/4 of it sent, 10 layers; the ends a little more.
    pp: both ways, 1/4 of such a tensor. dp: gradients in 4 bytes, weights in 2, a half of either, 2.4 B parameters.
    """
    ranked = recommend("llama70b", "8x8xA100", tp="4", pp="8", zero="1", v="1", top=1).found.ranked[0]
    plan, boundary = ranked.plan, 8192 * 8192 * 2
    assert (plan.dp, plan.m, plan.b) == (2, 256, 1)
    sent = sent_bytes(ranked.job, plan)
    layers = 256 * 10 * 4 * 1.5 * boundary
    assert layers < sent["tp"] < 1.15 * layers
    assert sent["pp"] == 2 * 256 * boundary / 4
    assert sent["dp"] == pytest.approx((4 + 2) / 2 * 2.4e9, rel=0.02)
    assert set(sent) == {"tp", "pp", "dp"}


def test_no_link_is_faster_than_it_is(ranked: Ranked) -> None:
    """What nothing hides takes no less time than its bytes on the fastest link that the cluster has."""
    cluster, parts = ranked.job.cluster, ranked.estimate.time.parts
    rates = [link.rate for link in (cluster.scaleup, cluster.network) if link is not None]
    for axis in placement(ranked).axes:
        if axis.name == "tp":
            assert axis.sent / max(rates) <= float(parts["tp_comm"]) / ranked.job.framework.tp_exposed * 1.001


@pytest.mark.parametrize("name", ["experts", "giant"])
def test_text_stays_in_its_place(chromium: str, tmp_path: Path, name: str) -> None:
    """In a browser: no word leaves the sheet or its stripe, none lies on another."""
    model, gpus, options = ASKED[name]
    drawn = picture(recommend(model, gpus, top=1, **options).found.ranked[0], standalone=False)
    path = tmp_path / "x.html"
    path.write_text(f"<!DOCTYPE html><title>x</title><body>{drawn}{PROBE}</body>", encoding="utf-8")
    dom = browse(chromium, path, "--dump-dom").stdout
    probe = re.search(r'data-probe="([^"]*)"', dom)
    assert probe and probe[1] == "[]"


PROBE = """
<script>
var bad = [], svg = document.querySelector("svg"), all = svg.getBoundingClientRect(), plain = [];
svg.querySelectorAll("text").forEach(function (t) {
  var r = t.getBoundingClientRect(), box = t.parentElement.querySelector(":scope > rect");
  if (r.left < all.left || r.right > all.right || r.bottom > all.bottom) bad.push("leaves: " + t.textContent);
  if (t.parentElement.tagName === "g") {
    var b = box.getBoundingClientRect();
    if (r.left < b.left - 1 || r.right > b.right + 1) bad.push("wide: " + t.textContent);
  } else plain.push([t.textContent, r]);
});
plain.forEach(function (a, i) { plain.slice(i + 1).forEach(function (c) {
  var r = a[1], s = c[1];
  if (r.left < s.right && s.left < r.right && r.top + 2 < s.bottom && s.top + 2 < r.bottom)
    bad.push(a[0] + " / " + c[0]);
}); });
document.body.setAttribute("data-probe", JSON.stringify(bad.slice(0, 5)));
</script>
"""
