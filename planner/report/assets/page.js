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
