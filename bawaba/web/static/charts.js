/* Reads a chart out: the point under the mouse or finger, or, with the arrow keys, the next one. */
"use strict";

(() => {
  const WIDTH = 720; // the chart's own units, see charts.py
  const SVG = "http://www.w3.org/2000/svg";
  const at = new WeakMap(); // a chart → its point

  const plot = (event) => event.target.closest?.(".plot[data-points] svg")?.closest(".plot");

  function read(figure, place) {
    const points = JSON.parse(figure.dataset.points);
    const chosen = Math.max(0, Math.min(points.length - 1, place));
    const svg = figure.querySelector("svg");
    let line = svg.querySelector(".cursor");
    if (!line) {
      line = document.createElementNS(SVG, "line");
      line.setAttribute("class", "cursor");
      line.setAttribute("y2", "160");
      svg.append(line);
    }
    const x = (chosen * WIDTH) / Math.max(1, points.length - 1);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    figure.querySelector("output").textContent = points[chosen].join("  ·  ");
    at.set(figure, chosen);
  }

  function leave(figure) {
    figure.querySelector(".cursor")?.remove();
    figure.querySelector("output").textContent = "";
  }

  document.addEventListener("pointermove", (event) => {
    const figure = plot(event);
    if (!figure) return;
    const box = figure.querySelector("svg").getBoundingClientRect();
    const points = JSON.parse(figure.dataset.points).length;
    read(figure, Math.round(((event.clientX - box.x) / box.width) * (points - 1)));
  });
  document.addEventListener("pointerout", (event) => plot(event) && leave(plot(event)));
  document.addEventListener("focusout", (event) => plot(event) && leave(plot(event)));
  document.addEventListener("keydown", (event) => {
    const figure = plot(event);
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12 }[event.key];
    if (!figure || !step) return;
    event.preventDefault();
    const last = JSON.parse(figure.dataset.points).length - 1;
    read(figure, (at.get(figure) ?? last) + step);
  });
})();
