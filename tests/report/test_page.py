"""The page of an answer: what is in it, from documents alone, and driven in a real browser."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Mapping
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from planner.api import recommend, serve
from planner.errors import PlannerError
from planner.questions.layout_map import DEGREES, layout_map, places
from planner.report.page import page
from planner.report.page_extras import extras
from planner.report.page_map import front
from planner.report.page_rows import SERVING, TRAINING
from planner.report.whatif import sensitivities, why_not
from planner.training.space import Bounds
from tests.report.test_browser import browse, chromium

__all__ = ["chromium"]

LARGEST = 1_500_000
VOID = {"meta", "br", "input"}


class Tags(HTMLParser):
    """Every tag is closed in its order, every id is there once, every link leads somewhere in the page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opened, with what it refers to."""
        given = dict(attrs)
        assert not {"src", "onclick", "onload"} & given.keys()
        self.ids += [given["id"]] if given.get("id") else []
        self.targets += [str(given["href"])] if "href" in given else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opened and closed: in drawings."""

    def handle_endtag(self, tag: str) -> None:
        """Closed."""
        assert self.open.pop() == tag


def read(html: str) -> Tags:
    """The tags of a page that is well formed."""
    tags = Tags()
    tags.feed(html)
    assert not tags.open
    return tags


@pytest.fixture(scope="module")
def ranked() -> tuple[Mapping[str, Any], dict[str, Any]]:
    """An answer and what the page draws besides."""
    answer = recommend("llama70b", "4x8xH100", top=12)
    return answer.document, extras(answer.found, Bounds())


@pytest.fixture(scope="module")
def html(ranked: tuple[Mapping[str, Any], dict[str, Any]]) -> str:
    """Its page."""
    return page(ranked[0], **ranked[1])


def test_is_one_file(html: str) -> None:
    """Small, well formed, without a network."""
    tags = read(html)
    assert len(html.encode()) < LARGEST
    assert len(set(tags.ids)) == len(tags.ids)
    assert all(target.startswith("#") and target[1:] in tags.ids for target in tags.targets)
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)[^<]*\"", html)


def test_says_what_the_answer_says(ranked: tuple[Mapping[str, Any], dict[str, Any]], html: str) -> None:
    """Every plan with its exact step time and memory; every dead cell with its reason; every formula."""
    document, more = ranked
    for plan in document["plans"]:
        row = re.search(rf'<tr id="row-{plan["rank"]}">.*?</tr>', html)
        assert row and f'data-v="{plan["step_time_s"]!r}"' in row[0]
        assert f'data-v="{plan["memory_bytes"]["total"]!r}"' in row[0]
    for cell in more["map"]:
        assert escape(f"tp {cell['tp']} pp {cell['pp']}: {cell['why']}") in html
    assert all(escape(line["formula"]) in html for line in more["lines"])
    assert all(json.dumps(said)[1:-1] in html for said in more["why"]["says"].values())
    assert all(one["what"] in html for one in more["changes"]) and 'class="picture"' in html


def test_words_are_escaped(ranked: tuple[Mapping[str, Any], dict[str, Any]]) -> None:
    """A name is text, whatever is in it."""
    document = json.loads(json.dumps(ranked[0]))
    document["inputs"]["model"]["name"] = "<script>alert(1)</script>"
    assert "<script>alert" not in page(document)


def test_the_map_agrees_with_the_ranking() -> None:
    """The fastest cell is the fastest plan; every pair is there once; what is dead says why."""
    answer = recommend("llama3-8b", "8xA100", global_batch=64).found
    every = places(answer.job, Bounds())
    cells = layout_map(answer.job, every)
    assert min(one.found.cost for one in every if one.found and not one.short) == min(
        one.step_time for one in answer.ranked
    )
    alive = [one.best.step_time for one in cells if one.best]
    assert min(alive) == min(one.step_time for one in answer.ranked)
    assert len({(one.tp, one.pp) for one in cells}) == len(cells)
    assert all(one.best or one.why or (one.near and one.near.need > answer.capacity) for one in cells)
    assert {(one.tp, one.pp) for one in cells if 8 % (one.tp * one.pp)} == {
        (one.tp, one.pp) for one in cells if "does not divide" in one.why
    }


def test_other_degrees_are_priced_as_if_pinned() -> None:
    """The price in the box is that of a ranking with these degrees pinned; a miss is the nearest miss of it."""
    answer = recommend("mixtral-8x7b", "2x8xH100", global_batch=128).found
    every = places(answer.job, Bounds())
    rng = random.Random(5)
    for one in rng.sample([one for one in every if one.found], 6):
        pins = {name: str(value) for name, value in zip(DEGREES, one.degrees, strict=True)}
        alone = recommend("mixtral-8x7b", "2x8xH100", global_batch=128, exact=True, **pins).found
        if one.short:
            assert not alone.fits and one.found.need == min(near.need for near in alone.misses)
        else:
            assert one.found.cost == pytest.approx(min(each.step_time for each in alone.ranked), rel=6e-3)


def test_what_no_rule_allows_names_the_rule() -> None:
    """The rule's own sentence with its numbers, of one degree or of a combination."""
    answer = recommend("deepseek-v3", "32x8xH100", global_batch=64).found
    told = why_not(answer.job, answer.ranked[0], places(answer.job, Bounds()))
    assert told["alone"]["pp"][64] == "pp*v = 64*1 stages exceed the 61 layers"
    assert "tp=256 does not divide the 128 attention heads" in told["alone"]["tp"][256]
    assert all(said.startswith(("Fits: ", "Does not fit: short by ", "No: ")) for said in told["says"].values())
    assert told["says"]["1,1,1,1,1"].startswith("No: 256 replicas are more than the 64 sequences")


def test_what_the_answer_rests_on() -> None:
    """Slower hardware is slower, never by more than it is; a larger batch takes longer and hides more."""
    answer = recommend("llama70b", "8x8xA100").found
    rows = {one["what"]: one for one in sensitivities(answer.ranked[0], places(answer.job, Bounds()))}
    for said in ("network at half its rate", "link inside the node at half its rate"):
        assert -0.5 < rows[said]["plan"]["change"] < 0.0
    assert -0.1 <= rows["kernels 10% slower"]["plan"]["change"] < -0.05
    assert 0.05 < rows["kernels 10% faster"]["plan"]["change"] <= 0.1
    small, large = (rows[f"{name} the batch"]["plan"] for name in ("half", "twice"))
    assert small["change"] < 0.0 < large["change"]
    assert small["step_time_s"] < answer.ranked[0].step_time < large["step_time_s"]
    assert all(one["best"]["change"] >= one["plan"]["change"] for one in rows.values())


def test_front() -> None:
    """By hand: of four plans two are beaten; what serves is better when higher."""
    train = [{"step_time_s": t, "memory_bytes": {"total": m}} for t, m in ((1, 9), (2, 9), (3, 5), (4, 6))]
    assert front(TRAINING, train) == [train[0], train[2]]
    served = [{"tpot_s": t, "tokens_per_s_per_gpu": x} for t, x in ((1, 5), (2, 4), (3, 9))]
    assert front(SERVING, served) == [served[0], served[2]]


def test_other_answers() -> None:
    """Deployments have a page; what is no answer has none; a job that fits nowhere says so."""
    deployed = page(serve("llama3-8b", "2xH100", input=1000, output=200, users=8).document)
    read(deployed)
    assert "tokens/s/GPU" in deployed
    nothing = recommend("llama70b", "1xA100", exact=True)
    read(page(nothing.document, **extras(nothing.found, Bounds())))
    with pytest.raises(PlannerError):
        page({"schema": "planner.else/1"})


PROBE = """
<script>
window.addEventListener("load",function(){
function one(s){return document.querySelector(s);}
function all(s){return Array.prototype.slice.call(document.querySelectorAll(s));}
var bad=[],did=0;
function check(ok,what){did+=1;if(!ok)bad.push(what);}
function shown(){return all("table.sortable tbody tr").filter(function(r){return !r.hidden;});}
all("table.sortable thead th").forEach(function(h,i){["ascending","descending"].forEach(function(way){
h.querySelector("button").click();if(h.getAttribute("aria-sort")!==way&&!i)h.querySelector("button").click();
var v=shown().map(function(r){var c=r.cells[i],t=c.getAttribute("data-v");t=t===null?c.textContent:t;
return isNaN(Number(t))?t:Number(t);});
if(h.getAttribute("aria-sort")==="descending")v.reverse();
check(v.every(function(x,n){return !n||v[n-1]<=x;}),"sort "+h.textContent);});});
all("select[data-column]").forEach(function(s){var i=+s.getAttribute("data-column");
s.value=s.options[1].value;s.dispatchEvent(new Event("change"));
check(shown().length&&shown().every(function(r){return r.cells[i].textContent===s.value;}),"filter "+i);
check(one("#count").textContent.indexOf(shown().length+" of ")===0,"count "+i);one("#reset").click();});
check(shown().length===all("table.sortable tbody tr").length,"reset");
var pick=one("#pick");Array.prototype.slice.call(pick.options).forEach(function(o){pick.value=o.value;
pick.dispatchEvent(new Event("change"));
var seen=all("[data-parts]").filter(function(t){return !t.hidden;});
check(seen.length===1&&seen[0].getAttribute("data-parts")===o.value,"pick "+o.value);});
all("table.heat button").forEach(function(b){b.click();
check(one("#cell").textContent===b.getAttribute("data-say")&&one("#cell").textContent.length>20,
"cell "+b.textContent);});
var axis=one("#axis"),stripes=all("svg.picture g.s");Array.prototype.slice.call(axis.options).forEach(function(o){
axis.value=o.value;axis.dispatchEvent(new Event("change"));
check(stripes.every(function(g){return (!o.value||g.classList.contains(o.value))===(g.style.opacity==="");}),
"groups "+o.value);});
var data=JSON.parse(one("#why-data").textContent),ins={};
all("input[data-degree]").forEach(function(i){ins[i.getAttribute("data-degree")]=i;});
function ask(d){Object.keys(ins).forEach(function(n){ins[n].value=d[n]||1;});
ins.tp.dispatchEvent(new Event("input"));return one("#why").textContent;}
Object.keys(data.says).forEach(function(key){var d={};key.split(",").forEach(function(v,i){d[data.degrees[i]]=+v;});
check(ask(d).indexOf(data.says[key])>0||ask(d).indexOf("No: ")===0,"why "+key);});
check(ask({tp:3}).indexOf("does not divide 32 GPUs")>0,"why tp 3");
check(ask({tp:1.5}).indexOf("whole number")>0,"why 1.5");
check(ask({cp:2,tp:4}).indexOf("--cp 2")>0,"why cp 2");
all("a[data-open]").forEach(function(a){a.click();
check(one(a.getAttribute("href")).open&&one(a.getAttribute("href")).offsetHeight>40,"formula "+a.textContent);});
check(all("a[data-open]").length===5,"five formulas are linked");
all("details").forEach(function(d){d.open=true;});
all("button,select,input,a,summary,[tabindex]").filter(function(e){return e.getClientRects().length;})
.forEach(function(e){e.focus();
check(document.activeElement===e&&(e.textContent||e.getAttribute("aria-label")||e.closest("label")),
"keyboard "+e.outerHTML.slice(0,60));});
all("select,input").forEach(function(s){check(s.closest("label"),"label "+s.id);});
all("table").forEach(function(t){check(t.caption&&t.querySelector("th[scope]"),"caption");});
all("svg").forEach(function(s){check(s.getAttribute("role")==="img","svg");});
var room=document.documentElement.clientWidth;
check(document.documentElement.scrollWidth<=room,"too wide for "+room);
function lum(c){var v=c.match(/[0-9.]+/g).slice(0,3).map(function(x){x/=255;
return x<=.03928?x/12.92:Math.pow((x+.055)/1.055,2.4);});return .2126*v[0]+.7152*v[1]+.0722*v[2];}
var back=lum(getComputedStyle(document.body).backgroundColor);
all("p,th,td,li,a,.good,.bad,summary,caption").forEach(function(e){var c=lum(getComputedStyle(e).color);
var ratio=(Math.max(c,back)+.05)/(Math.min(c,back)+.05);
check(ratio>=4.5,"contrast "+ratio+" "+e.textContent.slice(0,30));});
var dark=back<.2;
(window.parent||window).postMessage(JSON.stringify({bad:bad.slice(0,8),did:did,dark:dark,width:innerWidth}),"*");
});
</script>
"""
"""Drives every part of the page that does something, and measures what only a browser knows."""

FRAME = """<!DOCTYPE html><meta charset="utf-8"><title>x</title><body><script>
addEventListener("message",function(e){document.body.setAttribute("data-probe",e.data);});</script>
<iframe style="width:WIDTHpx;height:900px;border:0" srcdoc="PAGE"></iframe></body>"""


@pytest.mark.parametrize(("width", "scheme"), [(360, 1), (360, 0), (1600, 1), (1600, 0)])
def test_works(chromium: str, tmp_path: Path, html: str, width: int, scheme: int) -> None:
    """No console message; sorts, filters, opens; fits a phone and a wide screen; readable on both grounds."""
    path = tmp_path / "page.html"
    inner = escape(html.replace("</body>", PROBE + "</body>"))
    path.write_text(FRAME.replace("WIDTH", str(width)).replace("PAGE", inner), encoding="utf-8")
    dom = browse(
        chromium, path, "--dump-dom", "--virtual-time-budget=8000", f"--blink-settings=preferredColorScheme={scheme}"
    ).stdout
    probe = re.search(r'<body data-probe="([^"]*)"', dom)
    assert probe
    found = json.loads(unescape(probe[1]))
    assert found["bad"] == []
    assert found["did"] > 300 and found["width"] == width and found["dark"] == (scheme == 0)


def test_can_be_looked_at(chromium: str, tmp_path: Path, html: str) -> None:
    """More on it than a blank page; PLANNER_SCREENSHOTS keeps it."""
    path, shot = tmp_path / "page.html", tmp_path / "page.png"
    path.write_text(html, encoding="utf-8")
    browse(chromium, path, f"--screenshot={shot}")
    assert shot.stat().st_size > 40_000
    if os.environ.get("PLANNER_SCREENSHOTS"):
        shutil.copy(shot, Path(os.environ["PLANNER_SCREENSHOTS"]) / "page.png")
