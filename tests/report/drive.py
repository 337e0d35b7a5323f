"""Drives a page in a real browser: everything in it that does something, and what only a browser can measure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape, unescape
from pathlib import Path
from typing import Any

from tests.report.test_browser import browse

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
var pick=one("#pick");if(pick)Array.prototype.slice.call(pick.options).forEach(function(o){pick.value=o.value;
pick.dispatchEvent(new Event("change"));
var seen=all("[data-parts]").filter(function(t){return !t.hidden;});
check(seen.length===1&&seen[0].getAttribute("data-parts")===o.value,"pick "+o.value);});
var two=one("#degrees");if(two)Array.prototype.slice.call(two.options).forEach(function(o){two.value=o.value;
two.dispatchEvent(new Event("change"));var seen=all("[data-map]").filter(function(t){return !t.hidden;});
check(seen.length===1&&seen[0].getAttribute("data-map")===o.value,"map "+o.value);});
all("table.heat button").forEach(function(b){b.click();
check(one("#cell").textContent===b.getAttribute("data-say")&&one("#cell").textContent.length>20,
"cell "+b.textContent);});
var axis=one("#axis"),stripes=all("svg.picture g.s");
if(axis)Array.prototype.slice.call(axis.options).forEach(function(o){
axis.value=o.value;axis.dispatchEvent(new Event("change"));
check(stripes.every(function(g){return (!o.value||g.classList.contains(o.value))===(g.style.opacity==="");}),
"groups "+o.value);});
var box=one("#why-data"),data=box&&JSON.parse(box.textContent),ins={};
if(data){
all("input[data-degree]").forEach(function(i){ins[i.getAttribute("data-degree")]=i;});
function ask(d){Object.keys(ins).forEach(function(n){ins[n].value=d[n]||1;});
ins.tp.dispatchEvent(new Event("input"));return one("#why").textContent;}
Object.keys(data.says).forEach(function(key){var d={};key.split(",").forEach(function(v,i){d[data.degrees[i]]=+v;});
check(ask(d).indexOf(data.says[key])>0||ask(d).indexOf("No: ")===0,"why "+key);});
check(ask({tp:3}).indexOf("does not divide")>0,"why tp 3: "+ask({tp:3}));
check(ask({tp:1.5}).indexOf("whole number")>0,"why 1.5");
if(data.gpus===32)check(ask({cp:2,tp:4}).indexOf("--cp 2")>0,"why cp 2");}
all("a[data-open]").forEach(function(a){a.click();
check(one(a.getAttribute("href")).open&&one(a.getAttribute("href")).offsetHeight>40,"formula "+a.textContent);});
check(!one("#formulas")||!one("#row-1")||all("a[data-open]").length>=5,"formulas are linked");
all("details").forEach(function(d){d.open=true;});
all("button,select,input,a,summary,[tabindex]").filter(function(e){return e.getClientRects().length;})
.forEach(function(e){e.focus();
check(document.activeElement===e&&(e.textContent||e.getAttribute("aria-label")||e.closest("label")),
"keyboard "+e.outerHTML.slice(0,60));});
all("select,input").forEach(function(s){check(s.closest("label"),"label "+s.id);});
all("table").forEach(function(t){check(t.caption&&t.querySelector("th[scope]"),"caption");});
all("svg").forEach(function(s){check(s.getAttribute("role")==="img"&&
(s.getAttribute("aria-label")||s.querySelector("title").textContent),"svg");});
check(document.documentElement.lang==="en"&&document.title.length>5&&all("h1").length===1&&
all("main").length===1,"document");var level=1;
all("h1,h2,h3").forEach(function(h){var n=+h.tagName[1];check(n<=level+1&&h.textContent,"heading");level=n;});
var names={};all("[id]").forEach(function(e){check(!names["#"+e.id],"id "+e.id);names["#"+e.id]=1;});
all("[role=region],[role=group]").forEach(function(r){var n=r.getAttribute("aria-label");
check(n&&!names[n],"two regions called "+n);names[n]=1;});
all("th").forEach(function(t){check(t.getAttribute("scope"),"scope");});
all("ul").forEach(function(u){check(u.children.length&&all.call&&Array.prototype.every.call(u.children,function(c){
return c.tagName==="LI";}),"list");});
all(".tools button,.tools select,.tools input").forEach(function(c){
check(c.getBoundingClientRect().height>=24,"small "+c.outerHTML.slice(0,40));});
var room=document.documentElement.clientWidth;
check(document.documentElement.scrollWidth<=room,"too wide for "+room);
function lum(c){var v=c.match(/[0-9.]+/g).slice(0,3).map(function(x){x/=255;
return x<=.03928?x/12.92:Math.pow((x+.055)/1.055,2.4);});return .2126*v[0]+.7152*v[1]+.0722*v[2];}
var back=lum(getComputedStyle(document.body).backgroundColor);
all("p,th,td,li,a,.good,.bad,summary,caption").forEach(function(e){var c=lum(getComputedStyle(e).color);
var ratio=(Math.max(c,back)+.05)/(Math.min(c,back)+.05);
check(ratio>=4.5,"contrast "+ratio+" "+e.textContent.slice(0,30));});
all("svg.picture g.s,svg.picture .faint,svg.picture .bus+text").forEach(function(g){var t=g.querySelector("text")||g,
r=g.querySelector("rect")||(g.previousElementSibling||g).matches(".bus")&&g.previousElementSibling;
var a=lum(getComputedStyle(t).fill),b=r?lum(getComputedStyle(r).fill):back;
var ratio=(Math.max(a,b)+.05)/(Math.min(a,b)+.05);check(ratio>=4.5,"contrast "+ratio+" "+t.textContent.slice(0,20));});
var dark=back<.2;
(window.parent||window).postMessage(JSON.stringify({name:window.name,bad:bad.slice(0,8),did:did,dark:dark,width:innerWidth}),"*");
});
</script>
"""
"""Drives every part of the page that does something, and measures what only a browser knows."""

FRAME = """<!DOCTYPE html><meta charset="utf-8"><title>x</title><body><script>var found={};
addEventListener("message",function(e){var one=JSON.parse(e.data);found[one.name]=one;
document.body.setAttribute("data-probe",JSON.stringify(found));});</script>
FRAMES</body>"""

LOADED = """<script>addEventListener("load",function(){setTimeout(function(){
document.body.setAttribute("data-took",performance.getEntriesByType("navigation")[0].loadEventEnd);},0);});</script>"""
"""Milliseconds from the start to a page that is there."""


def driven(chromium: str, folder: Path, pages: Sequence[str], width: int, scheme: int) -> list[dict[str, Any]]:
    """What went wrong in each of some pages, at a width and on dark (0) or light ground."""
    frames = "".join(
        f'<iframe name="{n}" style="width:{width}px;height:900px;border:0" srcdoc="{escape(html)}"></iframe>'
        for n, html in enumerate(html.replace("</body>", PROBE + "</body>") for html in pages)
    )
    path = folder / "frames.html"
    path.write_text(FRAME.replace("FRAMES", frames), encoding="utf-8")
    look = f"--blink-settings=preferredColorScheme={scheme}"
    dom = browse(chromium, path, "--dump-dom", "--virtual-time-budget=20000", look).stdout
    probe = re.search(r'<body data-probe="([^"]*)"', dom)
    assert probe
    found = json.loads(unescape(probe[1]))
    return [found[str(n)] for n in range(len(pages))]
