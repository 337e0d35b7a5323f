(function(){
var svg=document.querySelector("svg.timeline"),said=document.getElementById("zoom"),natural=svg.viewBox.baseVal.width;
function show(width){svg.style.width=width;
said.textContent=Math.round(100*svg.getBoundingClientRect().width/natural)+" %";}
function zoom(factor){var width=svg.getBoundingClientRect().width*factor;
show(Math.min(Math.max(width,200),natural*8)+"px");}
document.getElementById("in").onclick=function(){zoom(1.25);};
document.getElementById("out").onclick=function(){zoom(0.8);};
document.getElementById("fit").onclick=function(){show("100%");};
document.getElementById("full").onclick=function(){show(natural+"px");};
show(natural>svg.parentElement.clientWidth?"100%":natural+"px");
})();
