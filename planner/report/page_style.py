"""Style and script of an answer's page: light and dark, on paper, by keyboard; no network."""

from __future__ import annotations

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8f98", "#b8a800", "#7b5ea7", "#4f5b66")
"""Okabe and Ito's colours, told apart by those who see few of them, and three more for rare parts."""

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--faint:#56606c;--line:#d5d9df;--page:#fff;--soft:#f1f3f5;--good:#00724f;
--bad:#a83200;--mark:#0060a0;--heat:0,114,178}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ed;--faint:#a3adb9;--line:#3a424c;--page:#14171b;--soft:#22272e;
--good:#4fd0a5;--bad:#ff9a6b;--mark:#7cc4ff;--heat:86,180,233}}
*{box-sizing:border-box} body{margin:0 auto;padding:20px;max-width:1500px;background:var(--page);color:var(--ink);
font:15px/1.45 system-ui,"DejaVu Sans",Helvetica,Arial,sans-serif;overflow-wrap:anywhere}
h1{font-size:22px;margin:0 0 6px} h2{font-size:17px;margin:30px 0 8px} p{margin:6px 0;max-width:75em}
.faint{color:var(--faint)} .good{color:var(--good);font-weight:600} .bad{color:var(--bad);font-weight:600}
.scroll{overflow-x:auto} .scroll:focus-visible{outline:2px solid var(--mark)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;overflow-wrap:normal}
caption{text-align:left;color:var(--faint);padding:0 0 6px}
th,td{padding:4px 10px 4px 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th.l,td.l{text-align:left} th{font-weight:600} tbody tr:hover{background:var(--soft)}
button,select,input{font:inherit;color:inherit;background:var(--soft);border:1px solid var(--line);border-radius:4px;
padding:1px 6px} input{width:5.5em} select,label{max-width:100%}
th button{background:none;border:0;padding:0;font-weight:600;cursor:pointer}
th[aria-sort=ascending] button::after{content:" \\25b2"} th[aria-sort=descending] button::after{content:" \\25bc"}
:focus-visible{outline:2px solid var(--mark);outline-offset:1px} a{color:var(--mark)}
.tools{display:flex;flex-wrap:wrap;gap:6px 14px;margin:8px 0}
table.bars{width:100%} table.bars td.bar{width:100%;min-width:160px;padding-right:14px}
.track{position:relative;height:18px;background:var(--soft)} .track>*{position:absolute;top:0;height:100%}
.limit{width:2px;background:var(--bad)} .whisker{top:8px!important;height:2px!important;background:var(--ink);
border-left:2px solid var(--ink);border-right:2px solid var(--ink)}
.key{display:flex;flex-wrap:wrap;gap:4px 16px;list-style:none;padding:0;margin:6px 0}
.key i{display:inline-block;width:12px;height:12px;margin-right:5px;vertical-align:-1px}
table.heat td{padding:2px;border:1px solid var(--line);text-align:center}
table.heat td button{width:100%;min-width:92px;max-width:150px;min-height:44px;
border:0;background:none;white-space:normal;cursor:pointer;font-size:13px;line-height:1.25}
table.heat td.dead{background:repeating-linear-gradient(45deg,var(--soft) 0 6px,transparent 6px 12px)}
table.heat td.dead button{color:var(--faint)} output{display:block;min-height:1.5em;margin:6px 0}
svg.plot{width:100%;min-width:520px;max-width:900px;height:auto;display:block} svg.plot text{fill:var(--ink);
font-size:12px} svg.plot .axis{stroke:var(--line)} svg.plot .front{fill:none;stroke:var(--mark);stroke-width:2}
svg.plot circle{fill:var(--faint)} svg.plot .best circle{fill:var(--mark)} svg.plot .out{stroke:var(--bad);
stroke-dasharray:5 4}
svg.picture{display:block;min-width:760px;max-width:1180px;width:100%;height:auto}
details{margin:3px 0} summary{cursor:pointer} details.line summary b{font-weight:600;float:right;margin-left:12px}
details.line{border-bottom:1px solid var(--line)} details.line div{padding:2px 0 8px 16px}
code{font:13px/1.4 ui-monospace,"DejaVu Sans Mono",monospace} .formulas{max-width:80em}
@media screen{section{content-visibility:auto;contain-intrinsic-size:auto 500px}}
@media print{body{max-width:none;padding:0;font-size:11px} .tools,output{display:none} .scroll{overflow:visible}
h2{break-after:avoid} tr,details{break-inside:avoid} *{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
@media (max-width:520px){body{padding:12px} .track{min-width:90px} table.bars td.bar{min-width:100px}
table.bars tbody th.l{white-space:normal;min-width:8em}}
"""


def shell(title: str, body: str, more: str = "", script: str = "") -> str:
    """A whole file: a title that is HTML already, the parts of the page, what it adds to the style, its script."""
    run = f"<script>{script}</script>\n" if script else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">\n<style>{STYLE}{more}</style>\n</head>\n'
        f"<body>\n<main>\n{body}</main>\n{run}</body>\n</html>\n"
    )


SCRIPT = """
(function(){
function all(s,e){return Array.prototype.slice.call((e||document).querySelectorAll(s));}
function value(row,i){var c=row.cells[i],v=c.getAttribute("data-v"),t=v===null?c.textContent:v,n=Number(t);
return t!==""&&!isNaN(n)?n:t;}
all("table.sortable").forEach(function(table){
var heads=all("thead th",table),body=table.tBodies[0];
heads.forEach(function(head,i){var button=head.querySelector("button");if(!button)return;
button.addEventListener("click",function(){
var down=head.getAttribute("aria-sort")==="ascending";
heads.forEach(function(h){if(h.hasAttribute("aria-sort"))h.setAttribute("aria-sort","none");});
head.setAttribute("aria-sort",down?"descending":"ascending");
all("tr",body).map(function(r,n){return [value(r,i),n,r];}).sort(function(a,b){
var o=a[0]<b[0]?-1:a[0]>b[0]?1:0;return (down?-o:o)||a[1]-b[1];}).forEach(function(x){body.appendChild(x[2]);});
});});
var tools=all("select[data-column]"),count=document.getElementById("count"),reset=document.getElementById("reset");
function filter(){var n=0,rows=all("tr",body);rows.forEach(function(r){
var keep=tools.every(function(s){return !s.value||r.cells[+s.getAttribute("data-column")].textContent===s.value;});
r.hidden=!keep;n+=keep;});if(count)count.textContent=n+" of "+rows.length+" shown";}
tools.forEach(function(s){s.addEventListener("change",filter);});
if(reset)reset.addEventListener("click",function(){tools.forEach(function(s){s.value="";});filter();});
});
var pick=document.getElementById("pick");
function choice(select,name){if(!select)return;function choose(){all("["+name+"]").forEach(function(t){
t.hidden=t.getAttribute(name)!==select.value;});}select.addEventListener("change",choose);choose();}
choice(pick,"data-parts");choice(document.getElementById("degrees"),"data-map");
all("table.heat button").forEach(function(b){b.addEventListener("click",function(){
document.getElementById("cell").textContent=b.getAttribute("data-say");});});
var axis=document.getElementById("axis");
if(axis)axis.addEventListener("change",function(){all("svg.picture g.s").forEach(function(g){
g.style.opacity=!axis.value||g.classList.contains(axis.value)?"":"0.12";});});
var data=document.getElementById("why-data"),fields=all("input[data-degree]");
function why(){var d={},f=function(n){return n.toLocaleString("en");};
data.degrees.forEach(function(n){d[n]=1;});
fields.forEach(function(i){d[i.getAttribute("data-degree")]=Number(i.value);});
for(var n in d)if(!(d[n]>=1)||d[n]%1)return n+" is a whole number from 1.";
for(n in data.alone)if(data.alone[n][d[n]])return "No: "+data.alone[n][d[n]]+".";
var split=d.tp*d.cp*d.pp,dp=data.gpus/split,says=data.says[data.degrees.map(function(n){return d[n];}).join(",")];
if(dp%1)return "No: a replica of "+f(split)+" does not divide "+f(data.gpus)+" GPUs.";
var at="dp "+f(dp)+". ";if(says)return at+says;
if(data.batch%dp)return at+"No: dp does not divide the batch of "+f(data.batch)+" sequences.";
if(dp*d.cp*d.tp%(d.ep*d.etp))return at+"No: ep × etp does not divide dp × cp × tp.";
return at+"Not tried; pin these degrees to see: planner recommend"+data.degrees.map(function(n){
return d[n]>1||n!=="etp"&&n!=="ep"?" --"+n+" "+d[n]:"";}).join("")+".";}
function tell(){document.getElementById("why").textContent=why();}
if(data){data=JSON.parse(data.textContent);fields.forEach(function(i){i.addEventListener("input",tell);});tell();}
all("a[data-open]").forEach(function(a){a.addEventListener("click",function(){
var d=document.getElementById(a.getAttribute("href").slice(1));
while(d){if(d.tagName==="DETAILS")d.open=true;d=d.parentElement;}});});
})();
"""
